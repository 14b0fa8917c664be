"use strict";

const at = (id) => document.getElementById(id);
const MOST_BYTES = 256 * 2 ** 20;
/** Most pixels of the canvas: more than some browsers draw. */
const MOST_DRAWN = 2 ** 24;

// --- the worker -----------------------------------------------------------------------------------------------------------------------

let module;
let source;
let worker;
let serial = 0;
const waiting = new Map();

/** Starts a worker from what the page holds: nothing is fetched. */
function startWorker() {
  worker?.terminate();
  for (const { reject } of waiting.values()) reject(new Cancelled());
  waiting.clear();
  worker = new Worker(source);
  worker.onmessage = ({ data }) => {
    const request = waiting.get(data.id);
    if (!request) return;
    document.body.dataset.memory = data.memory;
    if (data.kind === "progress") return request.progress(data);
    waiting.delete(data.id);
    if (data.kind !== "error") return request.resolve(data);
    request.reject(new Error(data.text));
    if (data.broken) startWorker().catch(fail);
  };
  worker.onerror = (event) => {
    for (const { reject } of waiting.values()) reject(new Error(event.message || "the worker could not be started"));
    waiting.clear();
  };
  return ask("start", { module });
}

class Cancelled extends Error {}

function ask(request, content, transfer = [], progress = undefined) {
  return new Promise((resolve, reject) => {
    const id = ++serial;
    waiting.set(id, { resolve, reject, progress });
    worker.postMessage({ id, request, ...content }, transfer);
  });
}

// --- a photograph ---------------------------------------------------------------------------------------------------------------------

let found;
let name = "photograph";
let again;

/** The state of the page, for those who wait for it: loading, ready, busy, done, failed. */
function say(state, text) {
  document.body.dataset.state = state;
  at("status").textContent = text;
  at("cancel").disabled = state !== "busy";
}

function fail(error) {
  if (error instanceof Cancelled) return;
  found = undefined;
  at("result").hidden = true;
  at("progress").value = 0;
  at("error").textContent = `Error: ${error.message}`;
  at("error").hidden = false;
  say("failed", "No vessels were found.");
}

async function find(label, content) {
  name = label.replace(/\.[^.]*$/, "") || "photograph";
  at("error").hidden = true;
  at("result").hidden = true;
  found = undefined;
  if (document.body.dataset.state === "busy") await startWorker();
  say("busy", "Starting.");
  const progress = ({ step, text }) => {
    at("progress").value = step;
    say("busy", text);
  };
  const how = {
    fast: document.querySelector("[name=weights]:checked").value === "fast",
    whole: at("whole").checked,
  };
  try {
    const { file, ...rest } = content;
    const bytes = await file?.arrayBuffer();
    found = await ask("find", { name: label, bytes, ...how, ...rest }, bytes ? [bytes] : [], progress);
    show();
    await draw();
    at("progress").value = 4;
    document.body.dataset.seconds = found.seconds;
    say("done", `Vessels were found in ${label} in ${found.seconds.toFixed(1)} seconds.`);
    at("result-title").focus();
  } catch (error) {
    fail(error);
  }
}

function take(file) {
  if (!file) return;
  if (file.size > MOST_BYTES) {
    return fail(new Error(`${file.name} has ${Math.ceil(file.size / 2 ** 20)} MiB; at most ${MOST_BYTES / 2 ** 20} MiB are read`));
  }
  again = () => find(file.name, { file });
  again();
}

for (const input of [at("file"), at("camera")]) {
  input.addEventListener("change", () => {
    take(input.files[0]);
    input.value = "";
  });
}
at("synthetic").addEventListener("click", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  again = () => find(`synthetic-${seed}`, { seed });
  again();
});
for (const choice of document.querySelectorAll("[name=weights], #whole")) {
  choice.addEventListener("change", () => again?.());
}
at("cancel").addEventListener("click", async () => {
  at("progress").value = 0;
  await startWorker();
  say("ready", "Cancelled.");
});

for (const event of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(event, (dragged) => {
    dragged.preventDefault();
    at("drop").classList.toggle("over", event === "dragover");
    if (event === "drop") take(dragged.dataTransfer.files[0]);
  });
}

// --- what was found -------------------------------------------------------------------------------------------------------------------

let zoom = 1;
let drawing;
const step = () => Math.ceil(Math.sqrt((found.width * found.height) / MOST_DRAWN));
const view = () => document.querySelector("[name=view]:checked").value;
const threshold = () => Number(at("threshold").dataset.exact);

function show() {
  const remarks = [...found.notes, ...found.warnings];
  at("warnings").replaceChildren(
    ...remarks.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
  at("remarks").hidden = remarks.length === 0;
  setThreshold(found.threshold);
  at("result").hidden = false;
  fit();
}

/** The slider has steps; the value that training chose lies between two of them. */
function setThreshold(value) {
  at("threshold").value = value;
  at("threshold").dataset.exact = value;
  at("threshold-value").textContent = value.toFixed(3);
}

/** Draws the view; while one is drawn, the newest wish waits. */
async function draw() {
  if (drawing) {
    drawing.again = true;
    return;
  }
  drawing = { again: true };
  try {
    while (drawing.again) {
      drawing.again = false;
      const [shown, reduced] = [view(), step()];
      const drawn = await ask("draw", { view: shown, threshold: threshold(), step: reduced });
      const [width, height] = [found.width, found.height].map((side) => Math.max(1, Math.floor(side / reduced)));
      const canvas = at("picture");
      Object.assign(canvas, { width, height });
      const pixels = new Uint8ClampedArray(drawn.pixels);
      canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
      const share = ((100 * drawn.count) / Math.max(1, drawn.retina)).toFixed(1);
      const figures = `${drawn.count} of ${drawn.retina} pixels of the retina are vessel (${share} %).`;
      at("figures").textContent = reduced > 1 ? `${figures} Shown at 1/${reduced} of its size; downloads are whole.` : figures;
      canvas.setAttribute("aria-label", `${shown} of ${name}, ${found.width} by ${found.height} pixels. ${figures}`);
    }
  } finally {
    drawing = undefined;
  }
}

const redraw = () => found && draw().catch(fail);
for (const choice of document.querySelectorAll("[name=view]")) choice.addEventListener("change", redraw);
at("threshold").addEventListener("input", () => {
  setThreshold(Number(at("threshold").value));
  redraw();
});
at("stored").addEventListener("click", () => {
  setThreshold(found.threshold);
  redraw();
});

// --- zoom -----------------------------------------------------------------------------------------------------------------------------

/** Zooms, and keeps the middle of the frame where it is. */
function setZoom(wanted) {
  const frame = at("frame");
  const middle = [frame.scrollLeft + frame.clientWidth / 2, frame.scrollTop + frame.clientHeight / 2];
  const next = Math.min(16, Math.max(1 / 32, wanted));
  const ratio = next / zoom;
  zoom = next;
  const canvas = at("picture");
  canvas.style.width = `${found.width * zoom}px`;
  canvas.style.height = `${found.height * zoom}px`;
  canvas.classList.toggle("large", zoom >= 2);
  frame.scrollTo(middle[0] * ratio - frame.clientWidth / 2, middle[1] * ratio - frame.clientHeight / 2);
  at("zoom-value").textContent = `${Math.round(100 * zoom)} %`;
}

const fit = () => setZoom(Math.min(1, at("frame").clientWidth / found.width));
at("smaller").addEventListener("click", () => setZoom(zoom / 1.25));
at("larger").addEventListener("click", () => setZoom(zoom * 1.25));
at("fit").addEventListener("click", fit);
at("frame").addEventListener("keydown", (event) => {
  if (event.key === "+" || event.key === "=") setZoom(zoom * 1.25);
  if (event.key === "-") setZoom(zoom / 1.25);
});
at("frame").addEventListener(
  "wheel",
  (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    setZoom(zoom * 1.25 ** -Math.sign(event.deltaY));
  },
  { passive: false },
);

// --- downloads ------------------------------------------------------------------------------------------------------------------------

for (const button of document.querySelectorAll(".download")) {
  button.addEventListener("click", async () => {
    const kind = button.dataset.view;
    try {
      const { bytes } = await ask("png", { view: kind, threshold: threshold() });
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
      link.download = `${name}_${kind.toLowerCase()}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    } catch (error) {
      fail(error);
    }
  });
}

// --- loading --------------------------------------------------------------------------------------------------------------------------

async function load() {
  const text = at("module").textContent;
  at("module").remove();
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  module = await WebAssembly.compile(bytes);
  source = URL.createObjectURL(new Blob([at("worker").textContent], { type: "text/javascript" }));
  await startWorker();
  say("ready", "Ready for a photograph.");
}

load().catch((error) => fail(new Error(`this browser cannot run the page: ${error.message}; SIMD of WebAssembly is needed`)));
