"""PyTorch's training step of the two MLPs in float32, to hold beside `ht bench mlp`.

    python3 scripts/torch_mlp_step.py [cuda|cpu]

The same step: linear, batch norm and ReLU twice, linear, cross-entropy, backward, clipping of the gradient norm, AdamW,
on one fixed batch. On CUDA it is timed as written, and replayed as a CUDA graph, PyTorch's best case for small networks.
"""

import sys
import time

import torch
from torch import nn

DEVICE = sys.argv[1] if len(sys.argv) > 1 else "cuda"


def network(hidden):
    widths, layers = [784, *hidden], [nn.Flatten()]
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 10)).to(DEVICE)


def training_step(hidden, batch):
    model = network(hidden)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True, capturable=DEVICE == "cuda")
    x = torch.randn(batch, 1, 28, 28, device=DEVICE)
    y = torch.arange(batch, device=DEVICE) % 10

    def step():
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(x), y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()

    return step


def finish():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def seconds(step, group=20):
    """Median over groups of steps, so that waiting for the GPU does not count as work."""
    times, begin = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begin < 1.0:
        start = time.perf_counter()
        for _ in range(group):
            step()
        finish()
        times.append((time.perf_counter() - start) / group)
    return sorted(times)[len(times) // 2]


def graph_of(step):
    """The step captured as a CUDA graph, after a warm-up on a stream of its own."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def report(name, hidden, batch, step):
    for _ in range(10):
        step()
    finish()
    duration = seconds(step)
    shape = "-".join(map(str, [784, *hidden, 10]))
    print(f"torch {name}, mlp {shape} batch {batch}: {duration * 1e3:.3f} ms, {batch / duration:.0f} images/s")


torch.backends.cuda.matmul.allow_tf32 = False
device = torch.cuda.get_device_name() if DEVICE == "cuda" else f"CPU, {torch.get_num_threads()} threads"
print(f"PyTorch {torch.__version__} on {device}")
for hidden in ([512, 256], [100, 100]):
    for batch in (256, 4096):
        report("fp32", hidden, batch, training_step(hidden, batch))
        if DEVICE == "cuda":
            report("fp32 graph", hidden, batch, graph_of(training_step(hidden, batch)))
