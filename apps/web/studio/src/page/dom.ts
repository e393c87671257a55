/** Elements: found by id, or made. */

import { InternalError } from "../../../src/errors.js";

/** Return the element of an id; throws if the page has none of this kind. */
export function byId<E extends Element>(id: string, kind: new () => E): E {
  const found = document.getElementById(id);
  if (found instanceof kind) {
    return found;
  }
  throw new InternalError(`the page has no ${kind.name} #${id}`);
}

/** Return what a selector finds within an element. */
export function within<E extends Element>(parent: ParentNode, selector: string, kind: new () => E): E {
  const found = parent.querySelector(selector);
  if (found instanceof kind) {
    return found;
  }
  throw new InternalError(`there is no ${kind.name} ${selector}`);
}

type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** Make an element; an attribute that is `true` stands without a value, one that is `false` or undefined not at all. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  set(element, attributes);
  element.append(...children);
  return element;
}

/** The same for drawings. */
export function makeSvg(tag: string, attributes: Attributes = {}, ...children: (Node | string)[]): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(element, attributes);
  element.append(...children);
  return element;
}

/** Return a button with words in it. */
export function button(words: string, attributes: Attributes, onClick: () => unknown): HTMLButtonElement {
  const made = make("button", { type: "button", ...attributes }, words);
  made.addEventListener("click", () => void onClick());
  return made;
}

function set(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

/** Put a picture on a canvas, which takes its size. */
export function paint(canvas: HTMLCanvasElement, image: ImageData | ImageBitmap): void {
  canvas.width = image.width;
  canvas.height = image.height;
  const context = context2d(canvas);
  if (image instanceof ImageData) {
    context.putImageData(image, 0, 0);
  } else {
    context.drawImage(image, 0, 0);
  }
}

export function context2d(
  canvas: HTMLCanvasElement,
  options?: CanvasRenderingContext2DSettings,
): CanvasRenderingContext2D {
  const context = canvas.getContext("2d", options);
  if (!context) {
    throw new InternalError("the browser gives no canvas to draw on; free memory and load the page again");
  }
  return context;
}
