"""A convolutional network whose pretrained backbone stays as the initial file has it; only its head is sent and merged.

The study says frozen = ["backbone."]; the initial file holds the weights of `network()`, the backbone's from wherever it was
trained: `save_file({**pretrained, **head}, "initial.safetensors")`.
"""

import torch
from consilium_trainer import run
from consilium_trainer.helpers import from_torch, into_torch
from torch import nn


def network():
    net = nn.Module()
    net.backbone = nn.Sequential(nn.Conv2d(1, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.head = nn.Linear(16, 1)
    net.forward = lambda x: net.head(net.backbone(x))
    return net


def predict(job):
    net = network()
    into_torch(net, job.model)
    with torch.no_grad():
        return net(torch.tensor(job.x)).numpy()


def train(job):
    net = network()
    into_torch(net, job.model)
    step = torch.optim.SGD(net.head.parameters(), lr=job.settings["learning_rate"])
    for rows in job.batches():
        step.zero_grad()
        z = net(torch.tensor(job.x[rows]))[:, 0]
        nn.functional.binary_cross_entropy_with_logits(z, torch.tensor(job.y[rows], dtype=torch.float32)).backward()
        step.step()
    return from_torch(net)


run(train, predict, lambda: from_torch(network()))
