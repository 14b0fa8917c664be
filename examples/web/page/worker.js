// Runs behind the bindings, which define `wasm_bindgen`. One request at a time; every answer names its request.

const { Finder, Photograph, View } = wasm_bindgen;
let memory;
let vessels;

function answer(id, kind, content = {}, transfer = []) {
  postMessage({ id, kind, memory: memory?.buffer.byteLength, ...content }, transfer);
}

function start(id, { module }) {
  memory = wasm_bindgen.initSync({ module }).memory;
  wasm_bindgen.listen();
  answer(id, "ready");
}

function find(id, { name, bytes, seed, fast, whole }) {
  const progress = (step, text) => answer(id, "progress", { step, text });
  vessels?.free();
  vessels = undefined;
  const started = performance.now();
  progress(0, "Reading the photograph.");
  const photograph = bytes ? Photograph.read(name, new Uint8Array(bytes)) : Photograph.synthetic(seed);
  const notes = photograph.notes();
  progress(1, "Loading the weights.");
  const finder = new Finder(fast, whole);
  progress(2, "Finding the vessels.");
  vessels = finder.find(photograph);
  const found = performance.now();
  progress(3, "Drawing.");
  answer(id, "found", {
    width: vessels.width,
    height: vessels.height,
    threshold: vessels.threshold,
    warnings: vessels.warnings(),
    notes,
    seconds: (found - started) / 1000,
  });
}

function draw(id, { view, threshold, step }) {
  vessels.mark(threshold);
  const pixels = vessels.pixels(View[view], step);
  answer(id, "drawn", { pixels: pixels.buffer, count: vessels.count, retina: vessels.retina }, [pixels.buffer]);
}

function png(id, { view, threshold }) {
  vessels.mark(threshold);
  const bytes = vessels.png(View[view]);
  answer(id, "png", { bytes: bytes.buffer }, [bytes.buffer]);
}

const requests = { start, find, draw, png };

onmessage = ({ data: { id, request, ...content } }) => {
  try {
    requests[request](id, content);
  } catch (error) {
    // After a trap the instance is of no use: the page starts another.
    const broken = !(error instanceof Error) || error instanceof WebAssembly.RuntimeError || error instanceof RangeError;
    const words = broken && memory ? wasm_bindgen.last_words() : "";
    const why = words
      ? `the work was given up: ${words}`
      : "the memory that this page may claim is not enough for it; use a smaller photograph, or the program `venule segment`";
    answer(id, "error", { broken, text: broken ? why : error.message });
  }
};
