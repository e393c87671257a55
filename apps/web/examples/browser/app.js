import { CancelledError, openUrl, rgba } from "amused-edge/web";

const byId = (id) => document.getElementById(id);
const [form, canvas, bar, stop] = [document.forms[0], byId("picture"), byId("progress"), byId("cancel")];
const drawButton = form.querySelector("[type=submit]");
const say = (text) => {
  byId("status").textContent = text;
};

let opened; // the pipeline, and what it computes with
let abort;

/** Open the bundle with a provider, unless it is open. */
async function open(provider, signal) {
  if (opened?.provider === provider) return opened.pipeline;
  await opened?.pipeline.close();
  opened = undefined;
  const pipeline = await openUrl("/bundle", {
    ort: "/ort",
    provider,
    keepGraphs: true, // this bundle is small; large ones leave it out
    signal,
    onProgress: ({ stage, loaded, total }) => {
      bar.value = loaded / total;
      const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
      say(
        stage === "check"
          ? "Checking once that this device computes rightly ..."
          : `Fetching the model once: ${megabytes(loaded)} of ${megabytes(total)} MB`,
      );
    },
  });
  opened = { provider, pipeline };
  return pipeline;
}

/** Show a picture. */
function show(image, label) {
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(new ImageData(rgba(image), image.width), 0, 0);
  canvas.setAttribute("aria-label", label);
}

async function draw(prompt, seed, provider, signal) {
  const pipeline = await open(provider, signal);
  const began = performance.now();
  say("Drawing ...");
  const onStep = (_, step) => {
    bar.value = (step.index + 1) / step.steps;
  };
  const [picture] = await pipeline.generate(prompt, { seed, signal, onStep });
  show(picture.image, prompt);
  say(`Drawn in ${((performance.now() - began) / 1000).toFixed(1)} s. The same words and seed draw the same picture.`);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { prompt, seed, provider } = Object.fromEntries(new FormData(form));
  abort = new AbortController();
  drawButton.disabled = true;
  stop.disabled = false;
  bar.value = 0;
  try {
    await draw(prompt, BigInt(seed || 0), provider, abort.signal);
  } catch (error) {
    say(error instanceof CancelledError ? "Stopped." : `It did not work: ${error.message}`);
  }
  drawButton.disabled = false;
  stop.disabled = true;
});

stop.addEventListener("click", () => abort.abort());
