import { openUrl, rgba } from "amused-edge/web";

const pipeline = await openUrl("/bundle", { ort: "/ort" });
const [{ image }] = await pipeline.generate("a red fox on a blue background", { seed: 0 });
await pipeline.close();

const canvas = document.querySelector("canvas");
Object.assign(canvas, { width: image.width, height: image.height });
canvas.getContext("2d").putImageData(new ImageData(rgba(image), image.width), 0, 0);
