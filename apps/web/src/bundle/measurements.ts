/** What was measured of a bundle when it was made, as its manifest records it; docs/bundle.md has the measures. */

import type { Json } from "./json.js";
import type { Fields } from "./json-fields.js";

/** Guided logits beside a reference's, teacher-forced over whole generations, on masked rows. */
export interface LogitFidelity {
  readonly generations: number;
  readonly rows: number;
  readonly meanKl: number;
  readonly maxKl: number;
  readonly totalVariation: number;
  readonly top1: number;
  readonly top5: number;
  readonly equalDraws: number;
  readonly confidenceCorrelation: number;
  readonly maxLogitError: number;
}

/** Decoded pictures beside a reference's; PSNR in dB, undefined where all are equal. */
export interface PictureFidelity {
  readonly psnr: number | undefined;
  readonly worstPsnr: number | undefined;
  readonly ssim: number | undefined;
  readonly equalCodes: number;
}

/** What was measured against the source model at export. */
export interface Parity {
  /** Role -> output -> error. */
  readonly roles: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly logits: LogitFidelity;
  readonly pictures: PictureFidelity;
}

/** How a bundle was made from its parent, and what that cost. */
export interface Quantization {
  readonly recipe: { readonly [name: string]: Json };
  /** SHA-256 of the parent's `manifest.json`. */
  readonly parent: string;
  /** Measured against the parent; undefined where no engine could run what was made. */
  readonly logits: LogitFidelity | undefined;
  readonly pictures: PictureFidelity | undefined;
}

/** What an evaluator says that a bundle computes, where its engine could not be run: no measurement of it. */
export interface Simulated extends Parity {
  readonly evaluator: string;
  readonly reference: string;
}

export function readParity(at: Fields): Parity {
  return { roles: readRoles(at), logits: readLogits(at), pictures: readPictures(at) };
}

export function readQuantization(at: Fields): Quantization {
  const measured = at.raw("logits") !== null;
  return {
    recipe: at.get("recipe", "object"),
    parent: at.get("parent", "string"),
    logits: measured ? readLogits(at) : undefined,
    pictures: measured ? readPictures(at) : undefined,
  };
}

export function readSimulated(at: Fields): Simulated {
  return {
    evaluator: at.get("evaluator", "string"),
    reference: at.get("reference", "string"),
    ...readParity(at),
  };
}

function readRoles(at: Fields): Record<string, Record<string, number>> {
  return at.table("roles", (role) => Object.fromEntries(role.names.map((name) => [name, role.get(name, "float")])));
}

function readLogits(fields: Fields): LogitFidelity {
  const at = fields.child("logits");
  return {
    generations: at.get("generations", "int"),
    rows: at.get("rows", "int"),
    meanKl: at.get("mean_kl", "float"),
    maxKl: at.get("max_kl", "float"),
    totalVariation: at.get("total_variation", "float"),
    top1: at.get("top1", "float"),
    top5: at.get("top5", "float"),
    equalDraws: at.get("equal_draws", "float"),
    confidenceCorrelation: at.get("confidence_correlation", "float"),
    maxLogitError: at.get("max_logit_error", "float"),
  };
}

function readPictures(fields: Fields): PictureFidelity {
  const at = fields.child("pictures");
  const optional = (name: string): number | undefined => (at.raw(name) === null ? undefined : at.get(name, "float"));
  return {
    psnr: optional("psnr"),
    worstPsnr: optional("worst_psnr"),
    ssim: optional("ssim"),
    equalCodes: at.get("equal_codes", "float"),
  };
}
