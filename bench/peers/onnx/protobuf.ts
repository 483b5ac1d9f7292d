// The few ONNX messages that the graphs here need, as protobuf bytes; field numbers from onnx.proto (IR version 9).

export type Attribute = number | { readonly float: number } | string | readonly number[];

export interface TensorData {
  readonly shape: readonly number[];
  readonly data: Float32Array | BigInt64Array;
}

/** A graph's input or output; a string stands for a size that is known only when it runs. */
export interface ValueInfo {
  readonly name: string;
  readonly type: "f32" | "i64";
  readonly shape: readonly (number | string)[];
}

const ELEMENT_TYPE = { f32: 1, i64: 7 };
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 };
const [IR_VERSION, OPSET] = [9, 20];

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value)); // negative numbers take ten bytes
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 128 : low);
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

function int(field: number, value: number): Uint8Array {
  return concat([varint(field << 3), varint(value)]);
}

function float(field: number, value: number): Uint8Array {
  return concat([varint((field << 3) | 5), new Uint8Array(Float32Array.of(value).buffer)]); // all hosts are little-endian
}

function bytes(field: number, ...pieces: (Uint8Array | string)[]): Uint8Array {
  const content = concat(pieces.map((piece) => (typeof piece === "string" ? new TextEncoder().encode(piece) : piece)));
  return concat([varint((field << 3) | 2), varint(content.length), content]);
}

function attribute(name: string, value: Attribute): Uint8Array {
  const parts = (type: number, ...values: Uint8Array[]) => concat([bytes(1, name), ...values, int(20, type)]);
  if (typeof value === "number") return parts(ATTRIBUTE_TYPE.int, int(3, value));
  if (typeof value === "string") return parts(ATTRIBUTE_TYPE.string, bytes(4, value));
  if ("float" in value) return parts(ATTRIBUTE_TYPE.float, float(2, value.float));
  return parts(ATTRIBUTE_TYPE.ints, ...value.map((v) => int(8, v)));
}

/** NodeProto. */
export function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, Attribute>>,
): Uint8Array {
  return concat([
    ...inputs.map((name) => bytes(1, name)),
    ...outputs.map((name) => bytes(2, name)),
    bytes(4, op),
    ...Object.entries(attributes).map(([name, value]) => bytes(5, attribute(name, value))),
  ]);
}

/** TensorProto, its numbers as raw little-endian bytes. */
export function tensor(name: string, { shape, data }: TensorData): Uint8Array {
  const type = data instanceof Float32Array ? ELEMENT_TYPE.f32 : ELEMENT_TYPE.i64;
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return concat([...shape.map((d) => int(1, d)), int(2, type), bytes(8, name), bytes(9, raw)]);
}

function valueInfo({ name, type, shape }: ValueInfo): Uint8Array {
  const dimensions = shape.map((d) => bytes(1, typeof d === "number" ? int(1, d) : bytes(2, d)));
  const tensorType = bytes(1, int(1, ELEMENT_TYPE[type]), bytes(2, ...dimensions));
  return concat([bytes(1, name), bytes(2, tensorType)]);
}

/** ModelProto with one graph; `nodes` in an order in which each comes after what it reads. */
export function model(graph: {
  readonly nodes: readonly Uint8Array[];
  readonly tensors: readonly Uint8Array[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}): Uint8Array {
  const content = [
    ...graph.nodes.map((n) => bytes(1, n)),
    bytes(2, "graph"),
    ...graph.tensors.map((t) => bytes(5, t)),
    ...graph.inputs.map((v) => bytes(11, valueInfo(v))),
    ...graph.outputs.map((v) => bytes(12, valueInfo(v))),
  ];
  return concat([int(1, IR_VERSION), bytes(7, ...content), bytes(8, bytes(1, ""), int(2, OPSET))]);
}
