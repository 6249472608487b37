"""A U-Net: skip connections padded and concatenated, bilinear or transposed upsampling, dice loss, RMSprop, plateaus."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim


class DoubleConv(nn.Module):
    def __init__(self, in_channels, out_channels, mid_channels=None):
        super().__init__()
        mid_channels = mid_channels or out_channels
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, mid_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(mid_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        return self.double_conv(x)


class Up(nn.Module):
    def __init__(self, in_channels, out_channels, bilinear):
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(in_channels, out_channels, in_channels // 2)
        else:
            self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2)
            self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, x1, x2):
        x1 = self.up(x1)
        diffY, diffX = x2.size()[2] - x1.size()[2], x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [diffX // 2, diffX - diffX // 2, diffY // 2, diffY - diffY // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    def __init__(self, n_classes, bilinear=False):
        super().__init__()
        self.n_classes = n_classes
        factor = 2 if bilinear else 1
        self.inc = DoubleConv(3, 8)
        self.down = nn.Sequential(nn.MaxPool2d(2), DoubleConv(8, 16 // factor))
        self.up = Up(16, 8, bilinear)
        self.outc = nn.Conv2d(8, n_classes, kernel_size=1)

    def forward(self, x):
        x1 = self.inc(x)
        return self.outc(self.up(self.down(x1), x1))


def dice_coeff(input, target, reduce_batch_first=False, epsilon=1e-6):
    assert input.size() == target.size()
    sum_dim = (-1, -2) if input.dim() == 2 or not reduce_batch_first else (-1, -2, -3)
    inter = 2 * (input * target).sum(dim=sum_dim)
    sets_sum = input.sum(dim=sum_dim) + target.sum(dim=sum_dim)
    sets_sum = torch.where(sets_sum == 0, inter, sets_sum)
    return ((inter + epsilon) / (sets_sum + epsilon)).mean()


def losses():
    rng = np.random.default_rng(0)
    images = torch.as_tensor(rng.random((4, 3, 18, 19)).astype(np.float32)).to(memory_format=torch.channels_last)
    true_masks = torch.as_tensor(rng.integers(0, 3, (4, 18, 19))).long()
    out = []
    for bilinear in (False, True):
        model = UNet(n_classes=3, bilinear=bilinear).to(memory_format=torch.channels_last)
        optimizer = optim.RMSprop(model.parameters(), lr=1e-4, weight_decay=1e-8, momentum=0.9, foreach=True)
        scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", patience=1)
        grad_scaler = torch.amp.GradScaler("cpu", enabled=False)
        criterion = nn.CrossEntropyLoss()
        for _ in range(6):
            with torch.autocast("cpu", enabled=False):
                masks_pred = model(images)
                loss = criterion(masks_pred, true_masks)
                one_hot = F.one_hot(true_masks, model.n_classes).permute(0, 3, 1, 2).float()
                probabilities = F.softmax(masks_pred, dim=1).float()
                loss += 1 - dice_coeff(probabilities.flatten(0, 1), one_hot.flatten(0, 1), reduce_batch_first=True)
            optimizer.zero_grad(set_to_none=True)
            grad_scaler.scale(loss).backward()
            grad_scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            grad_scaler.step(optimizer)
            grad_scaler.update()
            out.append(loss.item())
        mask_true = (true_masks == 1).float()
        dice_score = dice_coeff((masks_pred.argmax(dim=1) == 1).float(), mask_true)
        scheduler.step(dice_score)
        out += [dice_score.item(), optimizer.param_groups[0]["lr"]]
    return out
