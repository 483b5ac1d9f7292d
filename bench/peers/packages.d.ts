// As much of the peers' types as is used here, so that the code is checked where they are not installed.

declare module "onnxruntime-common" {
  export class Tensor {
    constructor(type: "float32" | "int64", data: Float32Array | BigInt64Array, shape: readonly number[]);
    readonly data: Float32Array | BigInt64Array;
    dispose(): void;
  }
  export class InferenceSession {
    static create(
      model: Uint8Array,
      options: {
        readonly executionProviders: readonly string[];
        readonly logSeverityLevel: 3;
        /** Of outputs by name; the others are read back. */
        readonly preferredOutputLocation: Readonly<Record<string, "cpu" | "gpu-buffer">>;
      },
    ): Promise<InferenceSession>;
    run(feeds: Readonly<Record<string, Tensor>>): Promise<Readonly<Record<string, Tensor>>>;
    release(): Promise<void>;
  }
  export const env: { readonly wasm: { numThreads?: number } };
}

declare module "onnxruntime-node" {
  export * from "onnxruntime-common";
}

declare module "onnxruntime-web/webgpu" {
  export * from "onnxruntime-common";
}

declare module "@tensorflow/tfjs-backend-webgpu" {}

declare module "@tensorflow/tfjs" {
  export interface Tensor {
    data(): Promise<Float32Array>;
    dispose(): void;
  }
  type Binary = (a: Tensor, b: Tensor | number) => Tensor;
  type Unary = (x: Tensor) => Tensor;
  export const version_core: string;
  export const train: {
    adam(
      lr: number,
      beta1: number,
      beta2: number,
      eps: number,
    ): { minimize(loss: () => Tensor, returnCost: true): Tensor | null; dispose(): void };
  };
  export function setBackend(name: string): Promise<boolean>;
  export function ready(): Promise<void>;
  export function tidy<T>(compute: () => T): T;
  export function tensor(data: Float32Array, shape: readonly number[]): Tensor;
  export function variable(initial: Tensor): Tensor;
  export function matMul(a: Tensor, b: Tensor, transposeA?: boolean, transposeB?: boolean): Tensor;
  export function moments(x: Tensor, axis: number, keepDims: boolean): { mean: Tensor; variance: Tensor };
  export function split(x: Tensor, parts: number, axis: number): Tensor[];
  export function reshape(x: Tensor, shape: readonly number[]): Tensor;
  export function transpose(x: Tensor, order: readonly number[]): Tensor;
  export function broadcastTo(x: Tensor, shape: readonly number[]): Tensor;
  export function concat(parts: readonly Tensor[], axis: number): Tensor;
  /** A size of -1 is the rest. */
  export function slice(x: Tensor, begin: readonly number[], size: readonly number[]): Tensor;
  export function sum(x: Tensor, axis: number): Tensor;
  export const add: Binary;
  export const sub: Binary;
  export const mul: Binary;
  export const mean: Unary;
  export const neg: Unary;
  export const relu: Unary;
  export const tanh: Unary;
  export const rsqrt: Unary;
  export const softmax: Unary;
  export const logSoftmax: Unary;
}

declare module "@jax-js/jax" {
  type Operand = Array | number;
  interface Array {
    /** The same array, to be used once more: every use consumes one. */
    readonly ref: Array;
    readonly shape: readonly number[];
    add(b: Operand): Array;
    sub(b: Operand): Array;
    mul(b: Operand): Array;
    div(b: Operand): Array;
    neg(): Array;
    reshape(shape: number[]): Array;
    transpose(order: number[]): Array;
    /** `[]` is a whole axis. */
    slice(...ranges: ([] | [from: number, to: number])[]): Array;
    data(): Promise<Float32Array | Int32Array>;
    dispose(): void;
  }

  export type { Array };
  export function init(device: string): Promise<string[]>;
  export function defaultDevice(device: string): string;
  export function jit<A extends unknown[], R>(f: (...args: A) => R): (...args: A) => R;
  export function valueAndGrad<A extends unknown[]>(f: (...args: A) => Array): (...args: A) => [Array, A[0]];
  export const numpy: {
    array(data: Float32Array, o: { shape: number[] }): Array;
    zeros(shape: number[]): Array;
    matmul(a: Array, b: Array): Array;
    mean(x: Array, axis?: number, o?: { keepdims: boolean }): Array;
    sum(x: Array, axis: number): Array;
    square(x: Array): Array;
    sqrt(x: Array): Array;
    split(x: Array, parts: number, axis: number): Array[];
    concatenate(parts: Array[], axis: number): Array;
    broadcastTo(x: Array, shape: number[]): Array;
  };
  export const nn: {
    softmax(x: Array, axis: number): Array;
    logSoftmax(x: Array, axis: number): Array;
    relu(x: Array): Array;
    gelu(x: Array): Array;
  };
}
