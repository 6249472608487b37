"""Sub-pixel convolution: orthogonal weights by gain, PixelShuffle, PSNR, a whole model saved and loaded."""

import io
from math import log10

import numpy as np
import torch
import torch.nn as nn
import torch.nn.init as init
import torch.optim as optim
from torch.utils.data import DataLoader


class Net(nn.Module):
    def __init__(self, upscale_factor):
        super().__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(1, 16, (5, 5), (1, 1), (2, 2))
        self.conv2 = nn.Conv2d(16, 16, (3, 3), (1, 1), (1, 1), padding_mode="replicate")
        self.conv3 = nn.Conv2d(16, 8, (3, 3), (1, 1), "same")
        self.conv4 = nn.Conv2d(8, upscale_factor**2, (3, 3), (1, 1), (1, 1))
        self.pixel_shuffle = nn.PixelShuffle(upscale_factor)
        self._initialize_weights()

    def forward(self, x):
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        x = self.relu(self.conv3(x))
        return self.pixel_shuffle(self.conv4(x))

    def _initialize_weights(self):
        init.orthogonal_(self.conv1.weight, init.calculate_gain("relu"))
        init.xavier_normal_(self.conv2.weight, init.calculate_gain("relu"))
        init.kaiming_uniform_(self.conv3.weight)
        init.normal_(self.conv4.weight, std=0.05)


def losses():
    rng = np.random.default_rng(0)
    large = torch.from_numpy(rng.random((16, 1, 16, 16))).float()
    small = nn.functional.interpolate(large, scale_factor=0.5, mode="bicubic", align_corners=False)
    loader = DataLoader(dataset=list(zip(small, large)), num_workers=0, batch_size=4, shuffle=True)
    model = Net(upscale_factor=2)
    criterion = nn.MSELoss()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    out = []
    for _ in range(3):
        for batch in loader:
            input, target = batch[0], batch[1]
            optimizer.zero_grad()
            loss = criterion(model(input), target)
            loss.backward()
            optimizer.step()
            out.append(loss.item())
        with torch.no_grad():
            out.append(sum(10 * log10(1 / criterion(model(i), t).item()) for i, t in loader) / len(loader))
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    assert str(model.load_state_dict(torch.load(file))) == "<All keys matched successfully>"
    return out
