// The page: from what is drawn to requests, and from answers to what is shown.

import { EXAMPLES } from "./examples.js";
import { Pad, SIDE } from "./pad.js";
import { Card, answerText, areDigits, element, greyCanvas, percent, readingOf, refill, rejected, showLayers, showNoLayers, showNoSteps, showSteps } from "./show.js";

const REST = 250; // milliseconds without a stroke until the answer is explained
const MAX_UPLOAD = 20 * 2 ** 20;
const MAX_HISTORY = 24;
const byId = (id) => document.getElementById(id);

const state = {
  number: 0, // which of several digits is looked at
  about: null, // the class whose evidence is asked for; null: the predicted one
  last: null, // the first network's last answer
  saved: null, // where the last picture was collected
  collect: null,
  classes: {}, // of each network
};

// ---- requests

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. Start it again with: mnistctl serve");
  }
  const document = await response.json();
  if (!response.ok) throw new Error([document.error, document.hint].filter(Boolean).join(": "));
  return document;
}

function post(path, blob, parameters) {
  const body = new FormData();
  body.append("image", blob, "drawing");
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== null && value !== ""));
  return ask(`${path}?${query}`, { method: "POST", body });
}

const settings = (checkpoint) => ({
  checkpoint, multi: byId("several").checked, invert: pad.photo ? "auto" : "yes",
});

// What went wrong, by who says so: each takes back its own words alone.
const problems = {};
function tell(who, text) {
  delete problems[who]; // so that the newest is the last
  problems[who] = text;
  byId("message").textContent = Object.values(problems).findLast(Boolean) ?? "";
}

// Runs `work`, one at a time; what is asked for meanwhile is done once, afterwards.
function newest(who, work) {
  let running = false;
  let again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    while (again) {
      again = false;
      try {
        await work();
        tell(who, "");
      } catch (error) {
        tell(who, error.message);
      }
    }
    running = false;
  };
}

// ---- answers

const template = document.querySelector(".network").cloneNode(true);
for (const own of [template, ...template.querySelectorAll("[id]")]) own.removeAttribute("id");
template.querySelector(".collect").remove();
template.removeAttribute("aria-labelledby");

const makeCard = (root) => new Card(root, (name) => {
  state.about = name;
  answer();
  explain();
}, (number) => {
  state.number = number;
  state.about = state.saved = null;
  answer();
  explain();
});
const cards = [makeCard(document.querySelector(".network"))];

const chosen = () => [byId("model"), byId("other")].slice(0, cards.length).map((select) => select.value);

const answerNow = newest("answer", async () => {
  if (pad.empty) return;
  const blob = pad.picture();
  let documents;
  try {
    documents = await Promise.all(chosen().map((name) => post("/api/predict", blob, { ...settings(name), input: true })));
  } catch (error) { // what was answered before is of another picture, or of another network
    showNothing("no answer", "There is none to this picture.");
    throw error;
  }
  if (pad.empty) return;
  state.last = documents[0];
  state.number = Math.min(state.number, ...documents.map((own) => own.predictions.length - 1));
  const multi = byId("several").checked;
  documents.slice(0, cards.length).forEach((own, index) => cards[index].show(own, state.number, multi, state.about));
  const input = byId("steps").lastElementChild?.firstElementChild;
  input?.replaceWith(greyCanvas(documents[0].predictions[state.number].input, "The 28 by 28 pixels that the network sees"));
  const answers = documents[0].predictions;
  byId("live").textContent = multi ? readingOf(documents[0]) : `${answerText(answers[0])} (${percent(answers[0].confidence)})`;
  showBoxes(answers, multi);
  showCollect();
});

// What is cleared is gone at once, whatever is still asked for.
function answer() {
  byId("invitation").hidden = !pad.empty;
  if (pad.empty) showNothing();
  answerNow();
}

function showNothing(verdict, reason) {
  Object.assign(state, { number: 0, about: null, last: null, saved: null });
  for (const card of cards) card.clear(verdict, reason);
  byId("boxes").replaceChildren();
  byId("live").textContent = byId("announcement").textContent = "";
  showCollect();
  showNoSteps(byId("steps"));
  showNoLayers(byId("layers"), reason);
}

function showBoxes(predictions, multi) {
  byId("boxes").replaceChildren(...(multi ? predictions : []).map((prediction, index) => {
    const [left, top, right, bottom] = pad.boxOnPad(prediction.box).map((value) => (100 * value) / SIDE);
    const box = element("div", { className: index === state.number ? "chosen" : "" }, element("span", { textContent: answerText(prediction) }));
    Object.assign(box.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
    return box;
  }));
}

const explainNow = newest("evidence", async () => {
  if (pad.empty) return;
  const blob = pad.picture();
  const aboutOf = (name) => (state.classes[name].includes(state.about) ? state.about : null);
  const found = await Promise.all(chosen().map((name) => post("/api/explain", blob, { ...settings(name), number: state.number, class_name: aboutOf(name) })));
  if (pad.empty) return;
  found.slice(0, cards.length).forEach((own, index) => cards[index].showEvidence(own, pad));
  await showSteps(byId("steps"), found[0]);
  await showLayers(byId("layers"), found[0].layers);
  if (pad.empty) { // cleared while these were decoded
    showNothing();
    return;
  }
  const { class_name: name, confidence, verdict } = found[0].prediction;
  const several = byId("several").checked && state.last ? `Digits ${readingOf(state.last)}. Chosen: ` : "";
  const one = rejected({ verdict }) ? "No digit" : `${name}, ${percent(confidence)}, ${verdict}`;
  if (!state.saved) byId("announcement").textContent = several + one; // else its label was said last
});

let resting;
function explain() {
  clearTimeout(resting);
  resting = setTimeout(explainNow, REST);
}

const pad = new Pad(byId("pad"), () => {
  state.saved = null;
  tell("file", "");
  tell("collection", "");
  answer();
  explain();
});

// ---- drawing tools

// Another picture: nothing that was asked about the one before goes on.
function replace(strokes, photo = null) {
  Object.assign(state, { number: 0, about: null });
  pad.set(strokes, photo);
}

function clear() {
  keepInHistory();
  replace([]);
}

function toggle(button) {
  const pressed = button.ariaPressed !== "true";
  button.ariaPressed = String(pressed);
  return pressed;
}

let example = 7;
function showExample() {
  keepInHistory();
  const strokes = EXAMPLES[example].map((points) => ({
    width: pad.width, erase: false, points: points.map(([x, y]) => [x * SIDE, y * SIDE, 1]),
  }));
  example = (example + 6) % 10;
  replace([]);
  const total = strokes.reduce((sum, stroke) => sum + stroke.points.length, 0);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let drawn = still ? total : 0;
  let shown = pad.strokes;
  const timer = setInterval(() => {
    if (pad.strokes !== shown) { // drawn upon, cleared, undone or replaced meanwhile
      clearInterval(timer);
      return;
    }
    drawn += 1;
    let left = drawn;
    shown = pad.strokes = strokes.flatMap((stroke) => {
      const points = stroke.points.slice(0, left);
      left = Math.max(left - stroke.points.length, 0);
      return points.length ? [{ ...stroke, points }] : [];
    });
    pad.update();
    if (drawn >= total) clearInterval(timer);
  }, still ? 0 : 60);
}

async function openPhoto(blob) {
  if (!blob) return;
  if (blob.size > MAX_UPLOAD) {
    tell("file", "This file is larger than 20 MiB.");
    return;
  }
  try {
    // A copy: the browser refuses to read a file again that has changed since.
    const copy = new Blob([await blob.arrayBuffer()], { type: blob.type });
    const bitmap = await createImageBitmap(copy);
    keepInHistory();
    replace([], { bitmap, blob: copy, width: bitmap.width, height: bitmap.height });
  } catch {
    tell("file", "This browser can't show that file as a picture.");
  }
}

byId("undo").onclick = () => pad.undo();
byId("clear").onclick = clear;
byId("eraser").onclick = () => { pad.erasing = toggle(byId("eraser")); };
byId("width").oninput = () => { pad.width = Number(byId("width").value); };
byId("example").onclick = showExample;
byId("photo").onclick = () => byId("file").click();
byId("file").onchange = () => { openPhoto(byId("file").files[0]); byId("file").value = ""; };
byId("several").onchange = () => {
  Object.assign(state, { number: 0, about: null, saved: null });
  answer();
  explain();
};

// A key that is held says a thing once: the focus has moved on by then.
byId("collect").addEventListener("keydown", (event) => {
  if (event.repeat && event.key === "Enter") event.preventDefault();
});

addEventListener("paste", (event) => openPhoto(event.clipboardData.files[0]));
addEventListener("dragover", (event) => { event.preventDefault(); byId("board").classList.add("over"); });
addEventListener("dragleave", () => byId("board").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  byId("board").classList.remove("over");
  openPhoto(event.dataTransfer.files[0]);
});

// Letters are shortcuts where one draws alone; elsewhere assistive technology may use them.
const KEYS = { z: "undo", c: "clear", e: "eraser", x: "example", p: "photo", m: "several" };
addEventListener("keydown", (event) => {
  const writing = event.target.matches("select, input:not([type=checkbox])");
  const control = event.ctrlKey || event.metaKey;
  if (writing || event.altKey || (control && event.key !== "z")) return;
  const onPad = event.target === byId("pad");
  if (onPad && !control && state.collect && state.last?.classes.includes(event.key)) {
    save(event.key);
  } else if (onPad && event.key === "Enter") {
    byId("collect").querySelector(".right")?.click();
  } else if (KEYS[event.key] && event.target.closest(".draw")) {
    event.preventDefault();
    byId(KEYS[event.key]).click();
  }
});

// ---- history

const history = [];
function keepInHistory() {
  if (pad.empty) return;
  history.unshift({ strokes: pad.strokes, photo: pad.photo, text: state.last ? readingOf(state.last) : "?" });
  history.length = Math.min(history.length, MAX_HISTORY);
  showHistory();
}

function showHistory() {
  if (history.length) refill(byId("history"), history.map((own) => {
    const thumb = element("canvas", { width: 112, height: 112, ariaHidden: "true" });
    const context = thumb.getContext("2d");
    context.scale(112 / SIDE, 112 / SIDE);
    pad.paint.call(own, context);
    return element("li", {}, element("button", {
      type: "button", ariaLabel: `Show this drawing again, answered ${own.text}`,
      onclick: () => { if (pad.strokes !== own.strokes) keepInHistory(); replace(own.strokes, own.photo); },
    }, thumb, own.text));
  }));
}

// ---- collecting

function showCollect() {
  const place = byId("collect");
  place.hidden = !state.collect || !state.last;
  if (place.hidden) {
    place.replaceChildren();
    return;
  }
  const { classes, predictions } = state.last;
  const one = predictions[state.number];
  const button = (text, name, className = "") => element("button", { type: "button", className, textContent: text, onclick: () => save(name) });
  if (state.saved) {
    refill(place, [`Saved as ${state.saved.folder}. Thank you.`, element("button", {
      type: "button", textContent: "Take it back", onclick: () => remove(state.saved),
    })]);
    return;
  }
  const right = button("", one.class_name, "right");
  right.append("Right ", element("kbd", { textContent: "Enter" }));
  const others = classes.filter((name) => name !== one.class_name || answerText(one) === "?");
  refill(place, [...(answerText(one) === "?" ? ["It is a"] : [right, "No, it is a"]),
    ...others.map((name) => Object.assign(button(name, name, "class"), { ariaLabel: `It is a ${name}` }))]);
}

async function save(name) {
  const { strokes, photo } = pad;
  const { number } = state;
  await attempt(async () => {
    const parameters = { ...settings(byId("model").value), number, class_name: name };
    const saved = await post("/api/collected", pad.picture(), parameters);
    byId("announcement").textContent = `Saved as ${saved.folder}`;
    // Unless something else is drawn by now.
    if (pad.strokes === strokes && pad.photo === photo && state.number === number) state.saved = saved;
  });
}

async function remove({ folder, name }) {
  await attempt(async () => {
    await ask(`/api/collected/${encodeURIComponent(folder)}/${name}`, { method: "DELETE" });
    byId("announcement").textContent = `Removed from ${folder}`;
    if (state.saved?.name === name) state.saved = null;
  });
}

async function attempt(work) {
  try {
    await work();
    await showCollected();
    tell("collection", "");
  } catch (error) {
    tell("collection", error.message);
  }
  showCollect();
}

async function showCollected() {
  const note = byId("collected-note");
  if (!state.collect) {
    note.replaceChildren("Start the page with ", element("code", { textContent: "mnistctl serve --collect DIR" }),
      " to keep corrected drawings and train on them.");
    return;
  }
  const { command, counts, pictures } = await ask("/api/collected");
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  note.replaceChildren(total ? `${total} ${total === 1 ? "picture" : "pictures"} with your labels. Train on them, once each class has some: ` : "Say under an answer what it should be: the picture is kept with that label. Later, train on all of them: ",
    element("code", { textContent: command }));
  refill(byId("collected"), pictures.map((own) => element("li", {}, element("button", {
    type: "button", ariaLabel: `Remove this picture of a ${own.folder}`, title: "Remove", onclick: () => remove(own),
  }, element("img", { alt: "", src: `/api/collected/${encodeURIComponent(own.folder)}/${own.name}` }),
  element("span", {}, own.folder, " ", element("small", { textContent: "remove" }))))));
}

// ---- networks

let listed = "";
async function loadModels() {
  const found = await ask("/api/models");
  if (listed === JSON.stringify(found)) {
    if (Object.values(problems).some(Boolean)) { // it may answer again
      answer();
      explain();
    }
    return;
  }
  listed = JSON.stringify(found);
  const { models, default: first, collect } = found;
  state.collect = collect;
  state.classes = Object.fromEntries(models.map((own) => [own.name, own.classes]));
  for (const select of [byId("model"), byId("other")]) {
    const before = select.value;
    const names = models.map((own) => own.name);
    const options = names.map((name) => element("option", { value: name, textContent: name }));
    if (select.id === "other") options.unshift(element("option", { value: "", textContent: "no other" }));
    select.replaceChildren(...options);
    select.value = names.includes(before) ? before : select.id === "model" ? first : "";
  }
  chooseModels();
}

function chooseModels() {
  const other = byId("other").value;
  if (other && cards.length === 1) {
    const root = template.cloneNode(true);
    byId("networks").append(root);
    cards.push(makeCard(root));
  } else if (!other && cards.length === 2) {
    cards.pop().root.remove();
  }
  chosen().forEach((name, index) => {
    if (String(state.classes[name]) !== String(cards[index].classes)) cards[index].makeBars(state.classes[name]);
  });
  suit(cards.every((card) => areDigits(card.classes)));
  cards[0].title(other ? byId("model").value : "The answer");
  if (other) cards[1].title(other);
  answer();
  explain();
}

// Digits alone have examples, and can stand side by side.
function suit(digits) {
  const title = digits ? "Draw a digit" : "Draw a picture";
  document.querySelector("h1").textContent = title;
  document.title = `${title} - mnistctl`;
  byId("example").hidden = byId("example").disabled = !digits;
  byId("several").parentElement.hidden = byId("several").disabled = !digits;
  if (!digits) byId("several").checked = false;
}

byId("model").onchange = byId("other").onchange = () => { state.about = null; chooseModels(); };
addEventListener("focus", () => loadModels().catch(() => {}));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { showHistory(); explain(); });

cards[0].makeBars([..."0123456789"]);
showNothing();
attempt(loadModels);
