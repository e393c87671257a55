import { AmusedPipeline, DeviceSource, type FileReader, type Ort, type RgbImage } from "amused-edge/react-native";

/**
 * @param ort `import * as ort from "onnxruntime-react-native"`
 * @param files reads files, by expo-file-system or react-native-fs
 */
export async function draw(ort: Ort, files: FileReader, folder: string, prompt: string): Promise<RgbImage> {
  const source = new DeviceSource(folder, files);
  const pipeline = await AmusedPipeline.open(source, { ort, keepGraphs: false });
  try {
    const [picture] = await pipeline.generate(prompt, { seed: 7 });
    return picture.image;
  } finally {
    await pipeline.close();
  }
}
