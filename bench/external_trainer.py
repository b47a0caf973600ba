"""The paper's network in PyTorch, for external.py: notes in its state how long each round's steps took."""

import time

import torch
from consilium_trainer import run
from consilium_trainer.helpers import from_torch, into_torch
from torch import nn

WIDTHS = [12_708, 256, 1024, 512, 512, 256, 256, 128, 128, 64]
NET = []


def network():
    if not NET:
        torch.manual_seed(1)
        layers = []
        for inputs, outputs in zip(WIDTHS, WIDTHS[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.3)]
        NET.append(nn.Sequential(*layers, nn.Linear(WIDTHS[-1], 1)))
    return NET[0]


def predict(job):
    net = network().eval()
    into_torch(net, job.model)
    with torch.no_grad():
        return net(torch.from_numpy(job.x)).numpy()


def train(job):
    net = network().train()
    into_torch(net, job.model)
    step = torch.optim.Adam(net.parameters(), lr=0.001)
    x, y, batches = torch.from_numpy(job.x), torch.tensor(job.y, dtype=torch.float32), job.batches()
    began = time.perf_counter()
    for rows in batches:
        step.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(net(x[rows])[:, 0], y[rows]).backward()
        step.step()
    with open(job.state / "seconds", "a") as file:
        print(time.perf_counter() - began, file=file)
    return from_torch(net)


run(train, predict, lambda: from_torch(network()))
