/** How wide the margins of an out-painting are: picture and margins together have the proportions of the bundle's. */

import type { Margins } from "../options/task.js";

export type Side = keyof Margins;

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** How much larger than the picture the frame may be, in each direction. */
const LARGEST = 4;

const OPPOSITE: Readonly<Record<Side, Side>> = { left: "right", right: "left", top: "bottom", bottom: "top" };

/** Return the smallest margins that give a picture the wanted proportions, the same on both sides. */
export function smallestMargins(picture: Size, wanted: Size): Margins {
  return completed(picture, wanted, { left: 0, top: 0, right: 0, bottom: 0 }, undefined);
}

/** Return margins after one side was dragged to a width: the other direction follows, and keeps its balance. */
export function withMargin(picture: Size, wanted: Size, margins: Margins, side: Side, pixels: number): Margins {
  const across = side === "left" || side === "right";
  const most = (across ? picture.width : picture.height) * LARGEST;
  const moved = { ...margins, [side]: Math.round(Math.min(Math.max(pixels, 0), most)) };
  return completed(picture, wanted, moved, side);
}

/** Return margins after the picture was dragged within its frame. */
export function shifted(margins: Margins, dx: number, dy: number): Margins {
  const across = Math.round(Math.min(Math.max(dx, -margins.left), margins.right));
  const down = Math.round(Math.min(Math.max(dy, -margins.top), margins.bottom));
  return {
    left: margins.left + across,
    right: margins.right - across,
    top: margins.top + down,
    bottom: margins.bottom - down,
  };
}

/** Return the nearest margins whose frame is a whole multiple of the wanted proportions in lowest terms. */
function completed(picture: Size, wanted: Size, margins: Margins, moved: Side | undefined): Margins {
  const common = divisor(wanted.width, wanted.height);
  const [across, down] = [wanted.width / common, wanted.height / common];
  const width = (picture.width + margins.left + margins.right) / across;
  const height = (picture.height + margins.top + margins.bottom) / down;
  const asked = moved === undefined ? 0 : moved === "left" || moved === "right" ? width : height;
  const times = Math.max(Math.round(asked), Math.ceil(picture.width / across), Math.ceil(picture.height / down));
  const [left, right] = sides("left", "right", times * across - picture.width, margins, moved);
  const [top, bottom] = sides("top", "bottom", times * down - picture.height, margins, moved);
  return { left, right, top, bottom };
}

/** Share a total among two sides: the one that was dragged gets what the other one leaves. */
function sides(first: Side, second: Side, total: number, margins: Margins, moved: Side | undefined): [number, number] {
  if (moved !== first && moved !== second) {
    return split(total, margins[first], margins[second]);
  }
  const other = Math.min(margins[OPPOSITE[moved]], total);
  return moved === first ? [total - other, other] : [other, total - other];
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}

function split(total: number, first: number, second: number): [number, number] {
  const share = first + second > 0 ? first / (first + second) : 0.5;
  const one = Math.round(total * share);
  return [one, total - one];
}
