/**
 * The part of onnxruntime-common that is used, written down as an interface: the module itself is given by the caller.
 *
 * onnxruntime-web, onnxruntime-node and onnxruntime-react-native have it, each with a copy of its own.
 */

export type TensorData = Float32Array | Int32Array | Uint8Array | BigInt64Array;

export interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  /** The values, where they are on the CPU. */
  readonly data: unknown;
  /** The values, from wherever they are. */
  getData?(releaseData?: boolean): Promise<unknown>;
  dispose?(): void;
}

export interface OrtSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  // biome-ignore lint/suspicious/noExplicitAny: each package has tensors of its own type
  run(feeds: any, options?: any): Promise<any>;
  release(): Promise<void>;
}

export interface Ort {
  readonly Tensor: {
    // biome-ignore lint/suspicious/noExplicitAny: overloaded in the packages
    new (type: any, data: any, dims: readonly number[]): OrtTensor;
  };
  readonly InferenceSession: {
    // biome-ignore lint/suspicious/noExplicitAny: overloaded in the packages
    create(model: any, options?: any): Promise<OrtSession>;
  };
  readonly env?: { readonly versions?: { readonly common?: string } };
}
