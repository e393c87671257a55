import { writeFile } from "node:fs/promises";
import { openFolder, pngOf } from "amused-edge/node";

export async function draw(folder: string, prompt: string, file: string): Promise<void> {
  const pipeline = await openFolder(folder);
  try {
    const [picture] = await pipeline.generate(prompt, { seed: 7 });
    await writeFile(file, pngOf(picture.image, picture.parameters));
  } finally {
    await pipeline.close();
  }
}
