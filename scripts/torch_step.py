"""PyTorch's training step of our models in float32, to hold beside `ht bench`.

    python3 scripts/torch_step.py [cuda|cpu] [MODEL ...]

MODEL is one of mlp, resnet18, vgg16 (all by default). The same step on one fixed batch: forward, cross-entropy, backward,
clipping of the gradient norm, AdamW. On CUDA it is timed with TF32 off and on, and replayed as a CUDA graph, PyTorch's best
case for small networks.
"""

import sys
import time

import torch
from torch import nn

DEVICE = sys.argv[1] if len(sys.argv) > 1 else "cuda"
MODELS = sys.argv[2:] or ["mlp", "resnet18", "vgg16"]


def mlp(hidden):
    widths, layers = [784, *hidden], [nn.Flatten()]
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 10))


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x):
        return torch.relu(self.main(x) + self.shortcut(x))


def resnet18():
    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    inputs = 64
    for outputs, stride in [(64, 1), (128, 2), (256, 2), (512, 2)]:
        layers += [BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1)]
        inputs = outputs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)]
    return nn.Sequential(*layers, *head)


def vgg16():
    layers, inputs = [], 3
    for group in [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3]:
        for outputs in group:
            layers += [nn.Conv2d(inputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    head = [nn.Flatten(), nn.Linear(2048, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 200)]
    return nn.Sequential(*layers, *head)


def training_step(model, image, classes, batch):
    model = model.to(DEVICE)
    x = torch.randn(batch, *image, device=DEVICE)
    if image[0] == 3:
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True, capturable=DEVICE == "cuda")
    y = torch.arange(batch, device=DEVICE) % classes

    def step():
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(x), y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()

    return step


def finish():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def seconds(step, group):
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


def report(kind, name, batch, step):
    group = 20 if DEVICE == "cuda" else 1
    for _ in range(10 if DEVICE == "cuda" else 2):
        step()
    finish()
    duration = seconds(step, group)
    print(f"torch {kind}, {name} batch {batch}: {duration * 1e3:.3f} ms, {batch / duration:.0f} images/s", flush=True)


def subjects():
    """Name, network, shape of an image, classes, batch."""
    if "mlp" in MODELS:
        for hidden in ([512, 256], [100, 100]):
            for batch in (256, 4096):
                yield f"mlp 784-{hidden[0]}-{hidden[1]}-10", lambda hidden=hidden: mlp(hidden), (1, 28, 28), 10, batch
    if "resnet18" in MODELS:
        for batch in (64, 256):
            yield "resnet18", resnet18, (3, 32, 32), 10, batch
    if "vgg16" in MODELS:
        yield "vgg16 64x64", vgg16, (3, 64, 64), 200, 64


def allow_tf32(allowed):
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


torch.backends.cudnn.benchmark = True
device = torch.cuda.get_device_name() if DEVICE == "cuda" else f"CPU, {torch.get_num_threads()} threads"
print(f"PyTorch {torch.__version__} on {device}")
for name, network, image, classes, batch in subjects():
    allow_tf32(False)
    report("fp32", name, batch, training_step(network(), image, classes, batch))
    if DEVICE == "cuda":
        report("fp32 graph", name, batch, graph_of(training_step(network(), image, classes, batch)))
        allow_tf32(True)
        report("tf32 graph", name, batch, graph_of(training_step(network(), image, classes, batch)))
