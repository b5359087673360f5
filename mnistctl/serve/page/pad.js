// The pad: strokes of mouse, pen, finger or keyboard, or a photograph, and their undo.

export const SIDE = 280; // units of the pad, whatever its size on the screen
const SENT = 224; // pixels of the picture that is sent
const MAX_PAST = 100; // steps that can be undone
const STEP = 8; // units that an arrow key moves the pen

export class Pad {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.strokes = [];
    this.photo = null; // {bitmap, blob, width, height}
    this.past = [];
    this.width = 20;
    this.erasing = false;
    this.cursor = null; // of the keyboard: {x, y}
    this.current = null; // the stroke that is being drawn
    this.pointer = null; // {id, type} of what draws it, null: the keyboard. A palm may be there, too.
    this.layer = new OffscreenCanvas(SENT, SENT).getContext("2d", { willReadFrequently: true });
    this.listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  get empty() {
    return !this.photo && !this.strokes.some((stroke) => !stroke.erase);
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      const eraserEnd = event.button === 5;
      const over = this.pointer && !(event.pointerType === "pen" && this.pointer.type !== "pen");
      if ((event.button !== 0 && !eraserEnd) || !event.isPrimary || over) return;
      event.preventDefault();
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      this.cursor = null;
      this.pointer = { id: event.pointerId, type: event.pointerType };
      this.begin(this.point(event), this.erasing || eraserEnd);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.current || event.pointerId !== this.pointer?.id) return;
      const events = event.getCoalescedEvents?.() ?? [];
      for (const own of events.length ? events : [event]) this.current.points.push(this.point(own));
      this.update();
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => { if (event.pointerId === this.pointer?.id) this.current = this.pointer = null; });
    }
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => { this.cursor = this.current = this.pointer = null; this.draw(); });
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const pressure = event.pointerType === "pen" && event.pressure ? 0.4 + 1.2 * event.pressure : 1;
    const scale = SIDE / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale, pressure];
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    this.pointer = null;
    const cursor = (this.cursor ??= { x: SIDE / 2, y: SIDE / 2 });
    if (!move) {
      if (this.current) this.current = null;
      else this.begin([cursor.x, cursor.y, 1], this.erasing);
    } else {
      const length = event.shiftKey ? 3 * STEP : STEP;
      const clamp = (value) => Math.min(Math.max(value, 0), SIDE);
      cursor.x = clamp(cursor.x + move[0] * length);
      cursor.y = clamp(cursor.y + move[1] * length);
      this.current?.points.push([cursor.x, cursor.y, 1]);
    }
    this.update();
  }

  begin(point, erase) {
    if (this.photo && erase) return;
    this.remember();
    this.photo = null;
    this.current = { width: this.width * (erase ? 1.6 : 1), erase, points: [point] };
    this.strokes = [...this.strokes, this.current];
    this.update();
  }

  remember() {
    this.past.push({ strokes: this.strokes, photo: this.photo });
    if (this.past.length > MAX_PAST) this.past.shift();
  }

  set(strokes, photo = null) {
    this.remember();
    this.current = null;
    this.strokes = strokes;
    this.photo = photo;
    this.update();
  }

  undo() {
    const before = this.past.pop();
    if (!before) return;
    this.current = null;
    this.strokes = before.strokes;
    this.photo = before.photo;
    this.update();
  }

  update() {
    this.draw();
    this.changed();
  }

  draw() {
    const { canvas } = this;
    const size = Math.round(canvas.clientWidth * devicePixelRatio);
    if (canvas.width !== size) canvas.width = canvas.height = size;
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, size, size);
    context.scale(size / SIDE, size / SIDE);
    this.paint(context);
    if (this.cursor) {
      context.lineWidth = 2;
      context.strokeStyle = colour("--accent");
      context.beginPath();
      context.arc(this.cursor.x, this.cursor.y, this.width / 2 + 3, 0, 7);
      context.stroke();
      if (this.current) { context.fillStyle = colour("--accent"); context.fill(); }
    }
  }

  // The drawing in units of the pad, on a canvas that is transparent where there is no ink.
  paint(context, ink = colour("--ink")) {
    if (this.photo) {
      const { bitmap, width, height } = this.photo;
      const [left, top, scale] = placed(width, height);
      context.drawImage(bitmap, left, top, width * scale, height * scale);
    }
    for (const stroke of this.strokes) {
      context.globalCompositeOperation = stroke.erase ? "destination-out" : "source-over";
      paintStroke(context, stroke, ink);
    }
    context.globalCompositeOperation = "source-over";
  }

  // What is sent: the strokes in black on white as a portable greymap, which takes no time to
  // encode, or the photograph's own file.
  picture() {
    if (this.photo) return this.photo.blob;
    const context = this.layer;
    context.setTransform(SENT / SIDE, 0, 0, SENT / SIDE, 0, 0);
    context.clearRect(0, 0, SIDE, SIDE);
    this.paint(context, "#000");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = "#fff";
    context.fillRect(0, 0, SENT, SENT);
    const { data } = context.getImageData(0, 0, SENT, SENT);
    const grey = new Uint8Array(SENT * SENT);
    for (let index = 0; index < grey.length; index += 1) grey[index] = data[4 * index];
    return new Blob([`P5 ${SENT} ${SENT} 255\n`, grey]);
  }

  // A box in pixels of what was sent, in units of the pad: [left, top, right, bottom].
  boxOnPad(box) {
    if (!this.photo) return box.map((value) => (value * SIDE) / SENT);
    const [left, top, scale] = placed(this.photo.width, this.photo.height);
    return box.map((value, index) => value * scale + (index % 2 ? top : left));
  }
}

function placed(width, height) {
  const scale = SIDE / Math.max(width, height);
  return [(SIDE - width * scale) / 2, (SIDE - height * scale) / 2, scale];
}

// Curves through the middles between points, each as wide as the pressure says.
function paintStroke(context, { points, width }, ink) {
  context.strokeStyle = ink;
  context.lineCap = context.lineJoin = "round";
  const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  let from = points[0];
  for (let index = 0; index < points.length; index += 1) {
    const point = points[index];
    const to = index + 1 < points.length ? middle(point, points[index + 1]) : point;
    context.lineWidth = width * point[2];
    context.beginPath();
    context.moveTo(from[0], from[1]);
    context.quadraticCurveTo(point[0], point[1], to[0], to[1] + (points.length === 1 ? 0.01 : 0));
    context.stroke();
    from = to;
  }
}

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
