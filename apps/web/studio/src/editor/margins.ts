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

function completed(picture: Size, wanted: Size, margins: Margins, moved: Side | undefined): Margins {
  const ratio = wanted.width / wanted.height;
  const width = picture.width + margins.left + margins.right;
  const height = picture.height + margins.top + margins.bottom;
  const fromWidth = moved === undefined ? width / height > ratio : moved === "left" || moved === "right";
  if (fromWidth) {
    const needed = Math.max(Math.round(width / ratio), picture.height);
    const [top, bottom] = split(needed - picture.height, margins.top, margins.bottom);
    const exact = Math.round(needed * ratio) - picture.width;
    const [left, right] = sides("left", "right", exact, margins, moved);
    return { left, right, top, bottom };
  }
  const needed = Math.max(Math.round(height * ratio), picture.width);
  const [left, right] = split(needed - picture.width, margins.left, margins.right);
  const exact = Math.round(needed / ratio) - picture.height;
  const [above, below] = sides("top", "bottom", exact, margins, moved);
  return { left, right, top: above, bottom: below };
}

/** Share a total among two sides: the one that was dragged gets what the other one leaves. */
function sides(first: Side, second: Side, total: number, margins: Margins, moved: Side | undefined): [number, number] {
  if (moved === undefined) {
    return split(total, margins[first], margins[second]);
  }
  const other = Math.min(margins[OPPOSITE[moved]], total);
  return moved === first ? [total - other, other] : [other, total - other];
}

function split(total: number, first: number, second: number): [number, number] {
  const share = first + second > 0 ? first / (first + second) : 0.5;
  const one = Math.round(total * share);
  return [one, total - one];
}
