"""The demo's network in PyTorch: 30 features, 16 hidden units, Adam, whose state stays at the site."""

import torch
from consilium_trainer import run
from consilium_trainer.helpers import from_torch, into_torch


def network(seed=1):
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(30, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
    torch.nn.init.kaiming_normal_(net[0].weight)
    return net


def predict(job):
    net = network()
    into_torch(net, job.model)
    with torch.no_grad():
        return net(torch.tensor(job.x)).numpy()


def train(job):
    net, kept = network(), job.state / "adam.pt"
    into_torch(net, job.model)
    adam = torch.optim.Adam(net.parameters(), lr=job.settings["learning_rate"])
    if kept.exists():
        adam.load_state_dict(torch.load(kept))
    x, y, batches = torch.tensor(job.x), torch.tensor(job.y, dtype=torch.float32), job.batches()
    for step, rows in enumerate(batches):
        adam.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(net(x[rows])[:, 0], y[rows])
        loss.backward()
        adam.step()
        job.progress((step + 1) / len(batches))
    torch.save(adam.state_dict(), kept)
    return from_torch(net), loss.item()


run(train, predict, lambda: from_torch(network()))
