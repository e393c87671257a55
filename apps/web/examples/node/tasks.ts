import {
  type ImageSource,
  inpainting,
  outpainting,
  type Picture,
  type Pipeline,
  textToImage,
  variation,
} from "amused-edge";

export async function tasks(pipeline: Pipeline, photo: ImageSource, mask: ImageSource): Promise<Picture[]> {
  const two = textToImage(["a fox", "a cat"], { negativePrompts: "blurry", picturesPerPrompt: 2 });
  const like = variation("a fox in snow", photo, { strength: 0.6 });
  const part = inpainting("a red hat", photo, mask, { feather: 4 });
  const around = outpainting("a wide meadow", photo, { left: 16, right: 16, top: 16, bottom: 16 });
  const pictures: Picture[] = [];
  for (const task of [two, like, part, around]) {
    pictures.push(...(await pipeline.generate(task, { steps: 8, guidanceScale: 4, seed: 2n ** 63n })));
  }
  return pictures;
}
