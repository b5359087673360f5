// Showing what the server answers.

import { SIDE, colour } from "./pad.js";

export const VERDICTS = {
  digit: "digit", known: "known", uncertain: "uncertain", "not-a-digit": "no digit", unknown: "unknown",
};
const STEPS = {
  image: ["Your picture", "As it was drawn, or photographed."],
  ink: ["Ink", "Ink told from paper, whatever the light. Bright is ink."],
  strokes: ["Strokes", "Specks and the edges of the page are left out."],
  input: ["Input, 28 × 28", "Cut out, fitted into 20 × 20 pixels, its centre of mass in the middle."],
};

export const percent = (share) => `${(100 * share).toFixed(share > 0.9995 || share < 0.0005 ? 2 : 1)}\u00a0%`;

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Replaces what is in an element; where a part had the focus, the part in its place gets it.
export function refill(place, parts) {
  const at = [...place.children].findIndex((part) => part.contains(document.activeElement));
  place.replaceChildren(...parts);
  const now = at < 0 ? null : place.children[Math.min(at, place.children.length - 1)];
  (now?.querySelector("button") ?? now)?.focus();
}

export const areDigits = (classes) => classes.length === 10 && classes.every((name, index) => name === String(index));

export const rejected = (prediction) => ["not-a-digit", "unknown"].includes(prediction.verdict);

export const answerText = (prediction) => (rejected(prediction) ? "?" : prediction.class_name);

// Of several lines of writing, a space between them.
export function readingOf({ classes, predictions }) {
  const apart = classes.every((name) => name.length === 1) ? "" : " ";
  const lines = [];
  for (const own of predictions) (lines[own.line] ??= []).push(answerText(own));
  return lines.map((line) => line.join(apart)).join(" ");
}

// One network's card. `asked` is called with a class's name whose evidence is wanted, `chosen`
// with the number of the digit, of several, that is looked at.
export class Card {
  constructor(root, asked, chosen) {
    this.root = root;
    this.asked = asked;
    this.chosen = chosen;
    this.classes = [];
    this.invitation = "";
    this.evidence = null;
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  title(text) {
    this.find(".who").textContent = text;
  }

  clear(verdict = "empty", reason = this.invitation) {
    this.headline("?", verdict, "empty", reason);
    this.find(".digits").hidden = true;
    for (const item of this.find(".bars").children) {
      fillBar(item, 0, false);
      item.firstChild.ariaPressed = "false";
    }
    this.clearEvidence();
  }

  headline(answer, verdict, kind, reason) {
    const big = this.find(".answer");
    big.textContent = answer;
    big.className = `answer${answer === "?" ? " none" : ""}${answer.length > 2 ? " long" : ""}`;
    this.find(".verdict").textContent = verdict;
    this.find(".verdict").className = `verdict ${kind}`;
    this.find(".reason").textContent = reason;
  }

  show(document, number, multi, about) {
    const { classes, predictions } = document;
    if (String(classes) !== String(this.classes)) this.makeBars(classes);
    const one = predictions[number];
    this.headline(multi ? readingOf(document) : answerText(one), VERDICTS[one.verdict], one.verdict, reasonOf(one, classes));
    const digits = this.find(".digits");
    digits.hidden = predictions.length < 2;
    while (digits.children.length > predictions.length) digits.lastChild.remove();
    predictions.forEach((prediction, index) => { // in place: a button that has the focus keeps it
      if (!digits.children[index]) digits.append(element("button", { type: "button", onclick: () => this.chosen(index) }));
      Object.assign(digits.children[index], {
        textContent: answerText(prediction), ariaPressed: String(index === number),
        ariaLabel: `Digit ${index + 1}: ${answerText(prediction)}`,
      });
    });
    [...this.find(".bars").children].forEach((item, index) => {
      fillBar(item, one.probabilities[index], index === one.class_index && !rejected(one));
      item.firstChild.ariaPressed = String(classes[index] === (about ?? one.class_name));
    });
  }

  makeBars(classes) {
    this.classes = classes;
    this.invitation = areDigits(classes) ? "Draw a digit from 0 to 9." : "Draw, or drop or paste a picture.";
    this.find(".bars").replaceChildren(...classes.map((name) => element("li", {}, element("button",
      { type: "button", onclick: () => this.asked(name) },
      element("b", { textContent: name }),
      element("span", { className: "track" }, element("span", { className: "fill" })),
      element("span", { className: "value" })))));
  }

  clearEvidence() {
    const canvas = this.find(".evidence");
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    canvas.ariaLabel = "No evidence yet";
    this.find(".about").textContent = "";
  }

  // Over the drawing: red where a pixel is evidence for the class, blue where against.
  showEvidence(explanation, pad) {
    const { attribution, class_name: name, input, prediction, steps } = explanation;
    if (!attribution) {
      this.clearEvidence();
      this.find(".meaning").textContent = "An exported network can't be looked into.";
      return;
    }
    const canvas = this.find(".evidence");
    const context = canvas.getContext("2d");
    const unit = canvas.width / 28;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    // A single step: the whole picture is the input.
    const place = steps.length === 1 ? [0, 0, 28, 28] : inkBox(input);
    if (place) paintDrawing(context, unit, place, pad.boxOnPad(prediction.box), pad);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.imageSmoothingQuality = "high";
    context.drawImage(heat(attribution), 0, 0, canvas.width, canvas.height);
    const total = attribution.flat().reduce((sum, value) => sum + value, 0);
    const sign = total >= 0 ? "for" : "against";
    canvas.ariaLabel = `The drawing with evidence for and against ${name}; on the whole there is more ${sign} it.`;
    this.find(".about").textContent = `for and against ${name}`;
    this.find(".meaning").textContent = `Red ink is evidence for ${name}, blue ink evidence against it; pale ink hardly matters.`;
  }
}

function fillBar(item, share, best) {
  const [, track, value] = item.firstChild.children;
  track.firstChild.style.width = `${100 * share}%`;
  value.textContent = share ? percent(share) : "";
  item.className = best ? "best" : "";
}

function reasonOf({ verdict, confidence, warnings, class_name: name, probabilities }, classes) {
  const notes = warnings.map((text) => text.replace(/: --multi.*/, ": tick “Several digits”")).join("; ");
  if (verdict === "digit" || verdict === "known") return `Confidence ${percent(confidence)}.${notes ? ` Note: ${notes}.` : ""}`;
  if (notes && verdict !== "uncertain") return `${notes[0].toUpperCase()}${notes.slice(1)}.`;
  const order = probabilities.map((share, index) => [share, classes[index]]).sort((a, b) => b[0] - a[0]);
  const guesses = `${name} (${percent(confidence)}) or ${order[1][1]} (${percent(order[1][0])})`;
  return `${verdict === "uncertain" ? "Perhaps" : "No class is likely enough: at best"} ${guesses}.${notes ? ` Note: ${notes}.` : ""}`;
}

// Left, top, right and bottom of the ink in the 28 x 28; null where there is none.
function inkBox(input) {
  const inky = (values) => values.some((value) => value > 60);
  const rows = input.map(inky);
  const columns = input[0].map((_, index) => inky(input.map((row) => row[index])));
  if (!rows.includes(true)) return null;
  return [columns.indexOf(true), rows.indexOf(true), columns.lastIndexOf(true) + 1, rows.lastIndexOf(true) + 1];
}

// The drawing where the input has it: its box on the pad at its place in the 28 x 28.
function paintDrawing(context, unit, [x0, y0, x1, y1], [left, top, right, bottom], pad) {
  const [across, down] = [(x1 - x0) / (right - left), (y1 - y0) / (bottom - top)];
  context.save();
  context.setTransform(across * unit, 0, 0, down * unit, (x0 - left * across) * unit, (y0 - top * down) * unit);
  // Painted apart first: the eraser would go through to what is below.
  const layer = new OffscreenCanvas(2 * SIDE, 2 * SIDE);
  const own = layer.getContext("2d");
  own.scale(2, 2);
  pad.paint(own);
  context.beginPath();
  context.rect(left - 2, top - 2, right - left + 4, bottom - top + 4);
  context.clip();
  context.globalAlpha = 0.28;
  context.drawImage(layer, 0, 0, SIDE, SIDE);
  context.restore();
}

function heat(values) {
  const small = new OffscreenCanvas(28, 28);
  const image = new ImageData(28, 28);
  const limit = Math.max(...values.flat().map(Math.abs)) || 1;
  const colours = [colour("--against"), colour("--for")].map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  values.flat().forEach((value, index) => {
    image.data.set([...colours[Number(value > 0)], 255 * (Math.abs(value) / limit) ** 0.7], 4 * index);
  });
  small.getContext("2d").putImageData(image, 0, 0);
  return small;
}

export function greyCanvas(pixels, label) {
  const canvas = element("canvas", { width: pixels[0].length, height: pixels.length, className: "pixels", ariaLabel: label });
  canvas.setAttribute("role", "img");
  const image = new ImageData(canvas.width, canvas.height);
  pixels.flat().forEach((value, index) => image.data.set([value, value, value, 255], 4 * index));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

async function pngCanvas(text, label) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = element("canvas", { width: bitmap.width, height: bitmap.height });
  if (label) { canvas.setAttribute("role", "img"); canvas.ariaLabel = label; } else canvas.ariaHidden = "true";
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas;
}

// From black over purple and orange to yellow, as the legend shows.
const GLOW = [[0, 0, 4], [86, 16, 110], [187, 55, 84], [249, 140, 10], [252, 255, 164]];

function glow(canvas) {
  const context = canvas.getContext("2d");
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < image.data.length; at += 4) {
    const place = (image.data[at] / 255) * (GLOW.length - 1);
    const low = Math.min(Math.floor(place), GLOW.length - 2);
    image.data.set(GLOW[low].map((value, band) => value + (place - low) * (GLOW[low + 1][band] - value)), at);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

const BLANK = [[0]];

export function showNoSteps(list) {
  fillSteps(list, Object.values(STEPS).map((texts) => [texts, greyCanvas(BLANK, "Nothing yet")]));
}

export async function showSteps(list, { steps, input }) {
  const shown = await Promise.all(steps.map(async (step) => [STEPS[step.name], await pngCanvas(step.png, STEPS[step.name][0])]));
  shown.push([STEPS.input, greyCanvas(input, "The 28 by 28 pixels that the network sees")]);
  fillSteps(list, shown);
}

function fillSteps(list, shown) {
  list.replaceChildren(...shown.map(([[name, text], canvas], index) => element("li", {},
    canvas, element("b", { textContent: `${index + 1}. ${name}` }), element("span", { textContent: text }))));
}

export function showNoLayers(list, reason = "Draw something first.") {
  list.replaceChildren(element("li", { className: "note", textContent: reason }));
}

export async function showLayers(list, layers) {
  if (!layers.length) return list.replaceChildren(element("li", { className: "note", textContent: "An exported network can't be looked into." }));
  const items = await Promise.all(layers.map(async (layer, index) => {
    const canvases = await Promise.all(layer.pngs.map(async (png) => glow(await pngCanvas(png))));
    const what = layer.kind === "linear" ? `${layer.num_units} units, each looks at everything before it`
      : `the ${canvases.length} most active of ${layer.num_units} feature maps, ${canvases[0].width} × ${canvases[0].height}`;
    return element("li", {},
      element("h3", {}, element("b", { textContent: `Layer ${index + 1} ` }), `${layer.name}: ${what}`),
      element("div", { className: `maps ${layer.kind}` }, ...canvases));
  }));
  list.replaceChildren(...items);
}
