import { ClipCapError } from "./errors.js";

/**
 * A kernel is a WGSL body and the facts around it. The header (constants, uniform struct, bindings) is generated from
 * the same record as the bind-group layout, so the two cannot disagree.
 */
export interface KernelSpec {
  /** Unique per WGSL text: `op.variant`, e.g. `matmul.nt.lane8.r16.f32`. */
  readonly name: string;
  readonly bindings: readonly Binding[];
  /** Members of `u`, in order. Sizes that change at run time are uniforms, so that one pipeline serves all shapes. */
  readonly uniforms: readonly UniformField[];
  /** Compile-time numbers: each becomes `const NAME`. Whole numbers are u32, others f32, booleans bool. */
  readonly constants?: Readonly<Record<string, number | boolean>>;
  /** Type aliases: each becomes `alias NAME = TYPE`. */
  readonly aliases?: Readonly<Record<string, string>>;
  readonly workgroup: readonly [number, number, number];
  readonly enables?: readonly ("subgroups" | "f16")[];
  /** WGSL functions in front of the entry point, shared between kernels (activations, weight decoding). */
  readonly body: string;
}

export interface Binding {
  readonly name: string;
  /** Element type of the runtime-sized array, e.g. `vec4f`, `f32`, `u32`. */
  readonly type: string;
  /** `texture`: see the function of that name. */
  readonly access: "read" | "read_write" | "texture";
}

export type UniformField = readonly [name: string, type: "u32" | "f32"];

/** A storage buffer that the kernel reads: an array of `type`. */
export function read(name: string, type = "f32"): Binding {
  return { name, type, access: "read" };
}

/** A storage buffer that the kernel writes, and may read: an array of `type`. */
export function write(name: string, type = "f32"): Binding {
  return { name, type, access: "read_write" };
}

/** The format of the texture behind a texture binding: a texel is 4 values of a row. */
export const TEXEL_FORMAT = "rgba32float";

/**
 * A matrix of f32 that the kernel reads with `textureLoad(name, vec2u(column / 4, row))`. The CPU driver asks for mask and
 * bounds of every lane and component of a storage buffer, where a storage texture gives 128 bits a lane at once.
 */
export function texture(name: string): Binding {
  return { name, type: "vec4f", access: "texture" };
}

/** The whole WGSL module: generated header, then the body with `@compute @workgroup_size(..) fn main`. */
export function wgsl(spec: KernelSpec): string {
  const lines: string[] = [];
  for (const feature of spec.enables ?? []) lines.push(`enable ${feature};`);
  for (const [name, value] of Object.entries(spec.constants ?? {})) lines.push(`const ${name} = ${literal(value)};`);
  for (const [name, type] of Object.entries(spec.aliases ?? {})) lines.push(`alias ${name} = ${type};`);
  lines.push(`struct Uniforms { ${spec.uniforms.map(([name, type]) => `${name}: ${type}`).join(", ")} }`);
  lines.push("@group(0) @binding(0) var<uniform> u: Uniforms;");
  spec.bindings.forEach((b, i) => {
    lines.push(`@group(0) @binding(${i + 1}) ${declaration(b)};`);
  });
  lines.push(spec.body.replace("@compute", `@compute @workgroup_size(${spec.workgroup.join(", ")})`).trim());
  return `${lines.join("\n")}\n`;
}

function declaration({ name, type, access }: Binding): string {
  if (access === "texture") return `var ${name}: texture_storage_2d<${TEXEL_FORMAT}, read>`;
  return `var<storage, ${access}> ${name}: array<${type}>`;
}

function literal(value: number | boolean): string {
  if (typeof value === "boolean") return String(value);
  return Number.isInteger(value) ? `${value}u` : `${value}f`;
}

/** Bytes of the uniform struct: 4 per field, rounded up to 16 as the uniform address space asks. */
export function uniformBytes(spec: KernelSpec): number {
  return Math.max(16, Math.ceil((spec.uniforms.length * 4) / 16) * 16);
}

function bindGroupLayout(spec: KernelSpec): GPUBindGroupLayoutDescriptor {
  const visibility = 4; // GPUShaderStage.COMPUTE, which Node has no global for
  return {
    label: spec.name,
    entries: [
      { binding: 0, visibility, buffer: { type: "uniform" } },
      ...spec.bindings.map(
        ({ access }, i): GPUBindGroupLayoutEntry => ({
          binding: i + 1,
          visibility,
          ...(access === "texture"
            ? { storageTexture: { access: "read-only", format: TEXEL_FORMAT } }
            : { buffer: { type: access === "read" ? "read-only-storage" : "storage" } }),
        }),
      ),
    ],
  };
}

/** The lines of WGSL around a compiler message, numbered, the faulty one marked. */
function sourceExcerpt(code: string, line: number, around = 3): string {
  const lines = code.split("\n");
  const first = Math.max(1, line - around);
  return lines
    .slice(first - 1, line + around)
    .map((text, i) => `${first + i === line ? ">" : " "} ${String(first + i).padStart(4)} | ${text}`)
    .join("\n");
}

export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/**
 * The pipeline of `code`, which is `wgsl(spec)`.
 * @throws ClipCapError `validation`: kernel, `label` (what it is for), the compiler's words and the lines around the fault.
 */
export async function compileKernel(
  gpu: GPUDevice,
  spec: KernelSpec,
  code: string,
  label?: string,
): Promise<CompiledKernel> {
  gpu.pushErrorScope("validation");
  const module = gpu.createShaderModule({ label: spec.name, code });
  const layout = gpu.createBindGroupLayout(bindGroupLayout(spec));
  const made = gpu.createComputePipelineAsync({
    label: spec.name,
    layout: gpu.createPipelineLayout({ label: spec.name, bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: "main" },
  });
  const [scope, pipeline] = await Promise.allSettled([gpu.popErrorScope(), made]);
  const error = scope.status === "fulfilled" ? scope.value : undefined;
  if (pipeline.status === "fulfilled" && !error) return { pipeline: pipeline.value, layout };
  const { messages } = await module.getCompilationInfo();
  const fault = messages.find((m) => m.type === "error");
  const reason = error ?? (pipeline.status === "rejected" ? pipeline.reason : scope);
  throw new ClipCapError(
    "validation",
    `kernel ${spec.name}${label ? ` for ${label}` : ""}: ${
      fault
        ? `${fault.message} (line ${fault.lineNum})\n${sourceExcerpt(code, fault.lineNum)}`
        : (reason as Error).message
    }`,
  );
}
