import { type PictureState, type Pipeline, type RgbImage, stateAfter, stateFromText, stateToText } from "amused-edge";

/** Draw on from a saved state, or begin; save after every step, and show what there is. */
export async function drawOn(
  pipeline: Pipeline,
  prompt: string,
  saved: string | undefined,
  save: (text: string) => void,
  show: (image: RgbImage) => void,
  signal: AbortSignal,
): Promise<RgbImage> {
  let state: PictureState = saved ? stateFromText(saved) : (await pipeline.begin(prompt, { seed: 7 }))[0];
  for await (const step of pipeline.resume(state, undefined, { signal })) {
    state = stateAfter(state, step);
    save(stateToText(state));
    const [preview] = await pipeline.preview(step, { signal });
    show(preview);
  }
  return (await pipeline.finish(state)).image;
}
