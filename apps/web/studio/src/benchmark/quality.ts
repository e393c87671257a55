/** What a device computed that Python can compute too: golden tokens, and logits where all tokens are masked. */

import { toBase64 } from "../../../src/base64.js";
import { readGolden } from "../../../src/bundle/golden.js";
import { DownloadError } from "../../../src/errors.js";
import type { RemotePipeline } from "../../../src/web/index.js";
import type { Instruments } from "./instruments.js";
import type { Quality } from "./plan.js";

/** Positions whose logits are sent: enough for a mean, half a megabyte of a full-size model. */
const POSITIONS = 16;

/** Ask for them right after the golden check, whose last call of the denoiser is unguided with all tokens masked. */
export async function qualityOf(
  label: string,
  goldenUrl: string,
  pipeline: RemotePipeline,
  instruments: Instruments,
  signal: AbortSignal,
): Promise<Quality> {
  const response = await fetch(goldenUrl, { signal });
  if (!response.ok) {
    throw new DownloadError(`cannot fetch ${goldenUrl} (the server answered ${response.status})`);
  }
  const { prompt } = readGolden(await response.text());
  const { gridHeight, gridWidth } = pipeline.manifest.geometry;
  const every = Math.max(1, Math.floor((gridHeight * gridWidth) / POSITIONS));
  const { rows, columns, values } = await instruments.logits(every, signal);
  const [picture] = await pipeline.generate(prompt, { signal });
  const bytes = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, i) => {
    bytes.setFloat32(4 * i, value, true);
  });
  return {
    label,
    prompt,
    tokens: [...picture.tokens],
    positions: Array.from({ length: rows }, (_, row) => row * every),
    codebook: columns,
    logits: toBase64(new Uint8Array(bytes.buffer)),
  };
}
