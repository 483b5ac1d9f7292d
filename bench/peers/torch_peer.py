"""PyTorch on the device that the argument names, cpu or cuda: requests and answers of serve.ts, cases of cases.ts."""

import base64
import json
import math
import os
import resource
import sys
import time


def absent(reason):
    os.write(3, (json.dumps({"type": "failed", "reason": reason}) + "\n").encode())
    sys.exit(0)


try:
    import torch
    import torch.nn.functional as F
except ImportError as missing:
    absent(f"python3 has no PyTorch ({missing}); python3 -m pip install torch, or apt install python3-torch")
if sys.argv[1] == "cuda" and not torch.cuda.is_available():
    absent(f"PyTorch {torch.__version__} finds no CUDA device")

DEVICE = torch.device(sys.argv[1])
SEED, C, H, EPS = 1, 768, 12, 1e-5
GPT2_LAYERS, VOCAB = 12, 50257
K, CLIP_LENGTH, CLIP_WIDTH, MAPPER_LAYERS, MAPPER_HEADS = 10, 10, 512, 8, 8
LR, BETAS, ADAM_EPS = 1e-3, (0.9, 0.999), 1e-8
COMPARED_STEPS = 4
GOLDEN = 0x9E3779B1
BLOCK = {  # of GPT-2; name: (shape, standard deviation, offset), as src/weights/synthetic.ts has them
    "ln_1.weight": ([C], 0.1, 1.0),
    "ln_1.bias": ([C], 0.01, 0.0),
    "attn.c_attn.weight": ([C, 3 * C], 0.04, 0.0),
    "attn.c_attn.bias": ([3 * C], 0.01, 0.0),
    "attn.c_proj.weight": ([C, C], 0.02, 0.0),
    "attn.c_proj.bias": ([C], 0.01, 0.0),
    "ln_2.weight": ([C], 0.1, 1.0),
    "ln_2.bias": ([C], 0.01, 0.0),
    "mlp.c_fc.weight": ([C, 4 * C], 0.02, 0.0),
    "mlp.c_fc.bias": ([4 * C], 0.01, 0.0),
    "mlp.c_proj.weight": ([4 * C, C], 0.02, 0.0),
    "mlp.c_proj.bias": ([C], 0.01, 0.0),
}


def times32(x, factor):
    """x * factor mod 2^32 for int64 x below 2^32, in two halves so that int64 does not overflow."""
    low = (x * (factor & 0xFFFF)) & 0xFFFFFFFF
    high = ((x * (factor >> 16)) & 0xFFFF) << 16
    return (low + high) & 0xFFFFFFFF


def hash32(name, count):
    h = 0x811C9DC5
    for byte in name.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    h ^= (SEED * GOLDEN) & 0xFFFFFFFF
    x = (times32(torch.arange(count, dtype=torch.int64), GOLDEN) + h) & 0xFFFFFFFF
    x = times32(x ^ (x >> 16), 0x7FEB352D)
    x = times32(x ^ (x >> 15), 0x846CA68B)
    return x ^ (x >> 16)


def synthetic(name, shape, std, offset=0.0):
    u = 2 * hash32(name, math.prod(shape)).double() / 4294967296 - 1
    return (offset + u * math.sqrt(3) * std).float().reshape(shape).to(DEVICE)


def block_weights(layer=0):
    return {name: synthetic(f"h.{layer}.{name}", *rule) for name, rule in BLOCK.items()}


def mapper_block_weights(layer):
    """By the names of GPT-2's, matrices as [in, out] too."""

    def load(part, *rule):
        return synthetic(f"clip_project.transformer.layers.{layer}.{part}", *rule)

    qkv = [load("attn.to_queries.weight", [C, C], 0.04), load("attn.to_keys_values.weight", [2 * C, C], 0.04)]
    return {
        "ln_1.weight": load("norm1.weight", [C], 0.1, 1.0),
        "ln_1.bias": load("norm1.bias", [C], 0.01),
        "attn.c_attn.weight": torch.cat(qkv).T.contiguous(),
        "attn.c_proj.weight": load("attn.project.weight", [C, C], 0.02).T.contiguous(),
        "attn.c_proj.bias": load("attn.project.bias", [C], 0.01),
        "ln_2.weight": load("norm2.weight", [C], 0.1, 1.0),
        "ln_2.bias": load("norm2.bias", [C], 0.01),
        "mlp.c_fc.weight": load("mlp.fc1.weight", [2 * C, C], 0.02).T.contiguous(),
        "mlp.c_fc.bias": load("mlp.fc1.bias", [2 * C], 0.01),
        "mlp.c_proj.weight": load("mlp.fc2.weight", [C, 2 * C], 0.02).T.contiguous(),
        "mlp.c_proj.bias": load("mlp.fc2.bias", [C], 0.01),
    }


def plain_attention(q, k, v, is_causal):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if is_causal:
        T = q.shape[-2]
        scores = scores.masked_fill(torch.ones(T, T, dtype=torch.bool, device=DEVICE).triu(1), -math.inf)
    return scores.softmax(-1) @ v


scaled_dot_product = getattr(F, "scaled_dot_product_attention", plain_attention)  # since torch 2.0


def attention(qkv, batch=1, heads=H, causal=True):
    q, k, v = (part.reshape(batch, -1, heads, C // heads).transpose(1, 2) for part in qkv.split(C, dim=1))
    return scaled_dot_product(q, k, v, is_causal=causal).transpose(1, 2).reshape(-1, C)


def gelu(x):
    return F.gelu(x, approximate="tanh")


def block(x, w, activation=gelu, **sequences):
    def linear(h, name):
        weight, bias = w[f"{name}.weight"], w.get(f"{name}.bias")
        return h @ weight if bias is None else torch.addmm(bias, h, weight)

    h = F.layer_norm(x, [C], w["ln_1.weight"], w["ln_1.bias"], EPS)
    x = x + linear(attention(linear(h, "attn.c_attn"), **sequences), "attn.c_proj")
    h = F.layer_norm(x, [C], w["ln_2.weight"], w["ln_2.bias"], EPS)
    return x + linear(activation(linear(h, "mlp.c_fc")), "mlp.c_proj")


def caption_step(B, T):
    """The transformer mapper learns, GPT-2 is frozen; position K-1+t predicts token t."""
    weight = synthetic("clip_project.linear.weight", [CLIP_LENGTH * C, CLIP_WIDTH], 0.02)
    bias = synthetic("clip_project.linear.bias", [CLIP_LENGTH * C], 0.01)
    prefix_const = synthetic("clip_project.prefix_const", [K, C], 1.0)
    mapper = [mapper_block_weights(i) for i in range(MAPPER_LAYERS)]
    gpt2 = [block_weights(i) for i in range(GPT2_LAYERS)]
    final = synthetic("ln_f.weight", [C], 0.1, 1.0), synthetic("ln_f.bias", [C], 0.01)
    wte = synthetic("wte.weight", [VOCAB, C], 0.05)
    positions = synthetic("wpe.weight", [1024, C], 0.02)[: K + T]
    text = wte[targets_of(B * T, VOCAB)].reshape(B, T, C)

    def logits(clip):
        spread = F.linear(clip, weight, bias).reshape(B, CLIP_LENGTH, C)
        x = torch.cat([spread, prefix_const.expand(B, K, C)], 1).reshape(-1, C)
        for w in mapper:
            x = block(x, w, F.relu, batch=B, heads=MAPPER_HEADS, causal=False)
        prefix = x.reshape(B, CLIP_LENGTH + K, C)[:, CLIP_LENGTH:]
        y = (torch.cat([prefix, text], 1) + positions).reshape(-1, C)
        for w in gpt2:
            y = block(y, w, batch=B)
        labelled = y.reshape(B, K + T, C)[:, K - 1 : K + T - 1].reshape(-1, C)
        return F.layer_norm(labelled, [C], *final, EPS) @ wte.T

    parameters = [weight, bias, prefix_const, *(p for w in mapper for p in w.values())]
    clip = host_input("clip", [B, CLIP_WIDTH], 0.5)
    return training_step(parameters, logits, clip, targets_of(B * T, VOCAB))


def targets_of(rows, classes):
    return (hash32("targets", rows) % classes).to(DEVICE)


def host_input(name, shape, std):
    """Calls take it to the device each time, as they bring the result back: both count."""
    return synthetic(name, shape, std).cpu()


def training_step(parameters, logits_of, x, targets):
    for p in parameters:
        p.requires_grad_(True)
    adam = torch.optim.Adam(parameters, lr=LR, betas=BETAS, eps=ADAM_EPS)

    def call():
        adam.zero_grad()
        loss = F.cross_entropy(logits_of(x.to(DEVICE)), targets)
        loss.backward()
        adam.step()
        return loss.detach().reshape(1).cpu()

    return call


def without_gradient(compute, x):
    def call():
        with torch.no_grad():
            return compute(x.to(DEVICE)).cpu()

    return call


def prepare(c):
    kind = c["type"]
    if kind == "matmul":
        w = synthetic("w", [c["K"], c["N"]], 0.02)
        return without_gradient(lambda x: x @ w, host_input("x", [c["M"], c["K"]], 1))
    if kind == "layernorm":
        columns = c["columns"]
        scale, shift = synthetic("ln.weight", [columns], 0.1, 1.0), synthetic("ln.bias", [columns], 0.01)
        x = host_input("x", [c["rows"], columns], 1)
        return without_gradient(lambda x: F.layer_norm(x, [columns], scale, shift, EPS), x)
    if kind == "softmax":
        return without_gradient(lambda x: F.softmax(x, -1), host_input("x", [c["rows"], c["columns"]], 1))
    if kind == "attention":
        return without_gradient(attention, host_input("qkv", [c["T"], 3 * C], 1))
    if kind == "block":
        w = block_weights()
        return without_gradient(lambda x: block(x, w), host_input("x", [c["T"], C], 1))
    if kind == "block-step":
        w = block_weights()
        x = host_input("x", [c["T"], C], 1)
        return training_step(list(w.values()), lambda x: block(x, w), x, targets_of(*x.shape))
    if kind == "mlp-step":
        w1 = synthetic("w1", [c["width"], c["inner"]], 0.03)
        w2 = synthetic("w2", [c["inner"], c["width"]], 0.03)
        x = host_input("x", [c["rows"], c["width"]], 1)
        return training_step([w1, w2], lambda x: F.relu(x @ w1) @ w2, x, targets_of(*x.shape))
    if kind == "caption-step":
        return caption_step(c["images"], c["tokens"])
    raise ValueError("whole models are compared as ONNX graphs, which torch does not read")


def cpu_ms():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return 1000 * (usage.ru_utime + usage.ru_stime)


def first_values(c, call):
    """The first call's time and what is compared: its result, or the losses of the first steps."""
    start = time.perf_counter()
    values = [call().flatten()]
    first_ms = 1000 * (time.perf_counter() - start)
    if c["type"].endswith("-step"):
        values += [call() for _ in range(COMPARED_STEPS - 1)]
    else:
        call()
    raw = torch.cat(values).contiguous().numpy().tobytes()
    return {"type": "prepared", "firstMs": first_ms, "values": base64.b64encode(raw).decode()}


def busy_ms():
    """Processor time of all processes on Linux; elsewhere of this one, as if there were no others."""
    try:
        with open("/proc/stat") as stat:
            user, nice, system, _, _, irq = (int(n) for n in stat.readline().split()[1:7])
    except OSError:
        return cpu_ms()
    return 1000 * (user + nice + system + irq) / os.sysconf("SC_CLK_TCK")


def sample(call, ms):
    busy, cpu, start, calls = busy_ms(), cpu_ms(), time.perf_counter(), 0
    while calls == 0 or 1000 * (time.perf_counter() - start) < ms:
        call()
        calls += 1
    wall = 1000 * (time.perf_counter() - start)
    own = cpu_ms() - cpu
    others = max(0, busy_ms() - busy - own) / wall
    return {"type": "sample", "wall": wall / calls, "cpu": own / calls, "otherLoad": others}


def main():
    call = None
    with os.fdopen(3, "w") as out:

        def answer(a):
            out.write(json.dumps(a) + "\n")
            out.flush()

        answer({"type": "opened", "name": f"torch {DEVICE} {torch.__version__}"})
        for line in sys.stdin:
            request = json.loads(line)
            try:
                if request["do"] == "sample":
                    answer(sample(call, request["ms"]))
                else:
                    call = prepare(request["case"])
                    answer(first_values(request["case"], call))
            except Exception as error:  # whatever it is, the other cases go on
                answer({"type": "failed", "reason": str(error).split("\n")[0][:300] or "no message"})


main()
