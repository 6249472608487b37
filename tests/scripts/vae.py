"""A variational autoencoder: the reparametrised sample, BCE with reduction="sum", KL by hand, and samples decoded."""

import numpy as np
import torch
import torch.utils.data
from torch import nn, optim
from torch.nn import functional as F


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(100, 40)
        self.fc21 = nn.Linear(40, 8)
        self.fc22 = nn.Linear(40, 8)
        self.fc3 = nn.Linear(8, 40)
        self.fc4 = nn.Linear(40, 100)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 100))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 100), reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD


def losses():
    device = torch.device("cpu")
    kwargs = {"num_workers": 0, "pin_memory": False}
    pixels = torch.from_numpy(np.random.default_rng(0).random((40, 1, 10, 10), dtype=np.float32))
    data = torch.utils.data.TensorDataset(pixels, torch.zeros(40))
    train_loader = torch.utils.data.DataLoader(data, batch_size=10, shuffle=True, **kwargs)
    model = VAE().to(device)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    out = []
    for _ in range(4):
        model.train()
        train_loss = 0
        for _, (data, _) in enumerate(train_loader):
            data = data.to(device)
            optimizer.zero_grad()
            recon_batch, mu, logvar = model(data)
            loss = loss_function(recon_batch, data, mu, logvar)
            loss.backward()
            train_loss += loss.item()
            optimizer.step()
            out.append(loss.item() / len(data))
        with torch.no_grad():
            sample = model.decode(torch.randn(4, 8).to(device)).cpu()
            out.append(sample.view(4, 1, 10, 10).mean())
    return out
