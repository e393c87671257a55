/**
 * What the core takes from its host, and nothing else: it is compiled against this file alone, without DOM and Node.
 *
 * Browsers, their workers, Node and React Native have all of it, but for WebAssembly, which is used where it is.
 */

interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

declare const console: { warn(message: string): void };

declare function setTimeout(callback: () => void, milliseconds: number): unknown;

declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array);
  }
  class Instance {
    constructor(module: Module);
    readonly exports: object;
  }
}
