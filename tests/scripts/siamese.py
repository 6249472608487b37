"""Twin networks: pairs with BCEWithLogitsLoss, triplets with TripletMarginLoss, contrastive distances."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


class SiameseNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 8, kernel_size=5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, stride=2),
            nn.Conv2d(8, 16, kernel_size=3, padding=1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.AdaptiveAvgPool2d(2),
        )
        self.fc = nn.Sequential(nn.Linear(128, 32), nn.ReLU(inplace=True), nn.Linear(32, 1))
        self.sigmoid = nn.Sigmoid()
        self.cnn.apply(self.init_weights)
        self.fc.apply(self.init_weights)

    def init_weights(self, m):
        if isinstance(m, nn.Linear):
            torch.nn.init.xavier_uniform_(m.weight)
            m.bias.data.fill_(0.01)

    def forward_once(self, x):
        output = self.cnn(x)
        return output.view(output.size()[0], -1)

    def forward(self, input1, input2):
        output = torch.cat((self.forward_once(input1), self.forward_once(input2)), 1)
        return self.fc(output)


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=2.0):
        super().__init__()
        self.margin = margin

    def forward(self, output1, output2, label):
        distance = F.pairwise_distance(output1, output2, keepdim=True)
        return torch.mean(
            (1 - label) * torch.pow(distance, 2) + label * torch.pow(torch.clamp(self.margin - distance, min=0.0), 2)
        )


def losses():
    rng = np.random.default_rng(0)
    images = torch.tensor(rng.standard_normal((3, 12, 1, 16, 16)), dtype=torch.float)
    label = torch.from_numpy(rng.integers(0, 2, (12, 1))).float()
    model = SiameseNetwork()
    optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4, nesterov=True)
    pairs, contrast = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0])), ContrastiveLoss()
    triplets = nn.TripletMarginLoss(margin=1.0, p=2, eps=1e-7)
    cosine = nn.CosineEmbeddingLoss(margin=0.2)
    out = []
    for _ in range(12):
        anchor, positive, negative = images
        optimizer.zero_grad()
        a, p, n = map(model.forward_once, (anchor, positive, negative))
        loss = pairs(model(anchor, positive), label) + triplets(a, p, n) + 0.1 * contrast(a, n, label)
        loss = loss + cosine(a, p, 2 * label.squeeze() - 1)
        loss.backward()
        optimizer.step()
        out.append(loss.item())
        with torch.inference_mode():
            accuracy = (torch.sigmoid(model(anchor, positive)) > 0.5).eq(label > 0).float().mean()
            out.append(accuracy.item())
    return out
