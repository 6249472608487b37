"""A conditional Wasserstein GAN with gradient penalty; a spectral-normalised critic with the hinge loss."""

import numpy as np
import torch
import torch.autograd as autograd
import torch.nn as nn
import torch.nn.functional as F
from torch.autograd import Variable
from torch.nn.utils import spectral_norm

cuda = torch.cuda.is_available()
Tensor = torch.cuda.FloatTensor if cuda else torch.FloatTensor
LongTensor = torch.cuda.LongTensor if cuda else torch.LongTensor
img_shape, latent_dim, n_classes = (1, 8, 8), 6, 4


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.label_emb = nn.Embedding(n_classes, n_classes)

        def block(in_feat, out_feat, normalize=True):
            layers = [nn.Linear(in_feat, out_feat)]
            if normalize:
                layers.append(nn.BatchNorm1d(out_feat, 0.8))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            return layers

        self.model = nn.Sequential(
            *block(latent_dim + n_classes, 16, normalize=False),
            *block(16, 32),
            nn.Linear(32, int(np.prod(img_shape))),
            nn.Tanh(),
        )

    def forward(self, z, labels):
        img = self.model(torch.cat((self.label_emb(labels), z), -1))
        return img.view(img.shape[0], *img_shape)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(64 + n_classes, 32), nn.LeakyReLU(0.2, inplace=True), nn.Linear(32, 1))
        self.label_embedding = nn.Embedding(n_classes, n_classes)

    def forward(self, img, labels):
        return self.model(torch.cat((img.view(img.shape[0], -1), self.label_embedding(labels)), dim=1))


def compute_gradient_penalty(D, real_samples, fake_samples, labels):
    alpha = Tensor(np.random.default_rng(1).random((real_samples.size(0), 1, 1, 1)))
    interpolates = (alpha * real_samples + ((1 - alpha) * fake_samples)).requires_grad_(True)
    d_interpolates = D(interpolates, labels)
    fake = Variable(Tensor(real_samples.shape[0], 1).fill_(1.0), requires_grad=False)
    gradients = autograd.grad(
        outputs=d_interpolates,
        inputs=interpolates,
        grad_outputs=fake,
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


def losses():
    rng = np.random.default_rng(0)
    generator, discriminator = Generator(), Discriminator()
    if cuda:
        generator.cuda()
        discriminator.cuda()
    optimizer_G = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_D = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    out = []
    for i in range(10):
        real_imgs = Variable(torch.from_numpy(rng.uniform(-1, 1, (8, *img_shape))).type(Tensor))
        labels = Variable(LongTensor(rng.integers(0, n_classes, 8)))
        optimizer_D.zero_grad()
        z = Variable(Tensor(rng.normal(0, 1, (8, latent_dim))))
        fake_imgs = generator(z, labels)
        real_validity, fake_validity = discriminator(real_imgs, labels), discriminator(fake_imgs, labels)
        penalty = compute_gradient_penalty(discriminator, real_imgs.data, fake_imgs.data, labels.data)
        d_loss = -torch.mean(real_validity) + torch.mean(fake_validity) + 10 * penalty
        d_loss.backward()
        optimizer_D.step()
        optimizer_G.zero_grad()
        if i % 2 == 0:
            g_loss = -torch.mean(discriminator(generator(z, labels), labels))
            g_loss.backward()
            optimizer_G.step()
            out.append(g_loss.item())
        out.append(d_loss.item())
    critic = nn.Sequential(
        spectral_norm(nn.Conv2d(1, 8, 3, 2, 1)), nn.LeakyReLU(0.1), nn.Flatten(), spectral_norm(nn.Linear(128, 1))
    )
    optimizer = torch.optim.Adam(critic.parameters(), lr=2e-3, betas=(0.0, 0.9))
    for _ in range(5):
        loss = F.relu(1.0 - critic(real_imgs)).mean() + F.relu(1.0 + critic(fake_imgs.detach())).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        out.append(loss.item())
    return out
