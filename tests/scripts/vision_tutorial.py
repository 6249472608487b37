"""Transfer learning with a frozen trunk, a spatial transformer, adversarial steps by `data.grad.sign()`, fast style layers."""

import copy

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.optim import lr_scheduler


class ConvLayer(torch.nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, stride, upsample=None):
        super().__init__()
        self.upsample = upsample
        self.reflection_pad = torch.nn.ReflectionPad2d(kernel_size // 2)
        self.conv2d = torch.nn.Conv2d(in_channels, out_channels, kernel_size, stride)

    def forward(self, x):
        if self.upsample:
            x = torch.nn.functional.interpolate(x, mode="nearest", scale_factor=self.upsample)
        return self.conv2d(self.reflection_pad(x))


class TransformerNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.in1 = ConvLayer(1, 8, 5, 2), torch.nn.InstanceNorm2d(8, affine=True)
        self.conv2, self.prelu = ConvLayer(8, 1, 3, 1, upsample=2), nn.PReLU(8)

    def forward(self, X):
        return self.conv2(self.prelu(self.in1(self.conv1(X))))


class STN(nn.Module):
    def __init__(self):
        super().__init__()
        self.localization = nn.Sequential(nn.Conv2d(1, 4, kernel_size=5), nn.MaxPool2d(2, stride=2), nn.ReLU(True))
        self.fc_loc = nn.Sequential(nn.Linear(4 * 6 * 6, 16), nn.ReLU(True), nn.Linear(16, 3 * 2))
        self.fc_loc[2].weight.data.zero_()
        self.fc_loc[2].bias.data.copy_(torch.tensor([1, 0, 0, 0, 1, 0], dtype=torch.float))
        self.conv, self.conv_drop = nn.Conv2d(1, 8, 5), nn.Dropout2d(p=0.0)
        self.fc = nn.Linear(8 * 6 * 6, 10)

    def forward(self, x):
        theta = self.fc_loc(self.localization(x).view(-1, 4 * 6 * 6)).view(-1, 2, 3)
        grid = F.affine_grid(theta, x.size(), align_corners=False)
        x = F.grid_sample(x, grid, align_corners=False)
        x = F.relu(F.max_pool2d(self.conv_drop(self.conv(x)), 2))
        return F.log_softmax(self.fc(x.view(x.shape[0], -1)), dim=1)


def fgsm_attack(image, epsilon, data_grad):
    sign_data_grad = data_grad.sign()
    perturbed_image = image + epsilon * sign_data_grad
    return torch.clamp(perturbed_image, 0, 1)


def train_model(model, inputs, labels, criterion, optimizer, scheduler, num_epochs):
    best_model_wts, best_acc, out = copy.deepcopy(model.state_dict()), 0.0, []
    for _ in range(num_epochs):
        for phase in ["train", "val"]:
            model.train() if phase == "train" else model.eval()
            optimizer.zero_grad()
            with torch.set_grad_enabled(phase == "train"):
                outputs = model(inputs)
                _, preds = torch.max(outputs, 1)
                loss = criterion(outputs, labels)
                if phase == "train":
                    loss.backward()
                    optimizer.step()
            running_loss, running_corrects = loss.item() * inputs.size(0), torch.sum(preds == labels.data)
            if phase == "train":
                scheduler.step()
            epoch_acc = running_corrects.double() / len(inputs)
            if phase == "val" and epoch_acc > best_acc:
                best_acc, best_model_wts = epoch_acc, copy.deepcopy(model.state_dict())
            out += [running_loss / len(inputs), epoch_acc.item()]
    model.load_state_dict(best_model_wts)
    return out


def losses():
    rng = np.random.default_rng(0)
    images, labels = torch.from_numpy(rng.random((8, 1, 16, 16))).float(), torch.from_numpy(rng.integers(0, 10, 8))
    model = STN()
    optimizer = optim.SGD(model.parameters(), lr=0.02)
    out = train_model(model, images, labels, F.nll_loss, optimizer, lr_scheduler.StepLR(optimizer, 2, 0.5), 5)
    for param in model.parameters():
        param.requires_grad = False
    num_ftrs = model.fc.in_features
    model.fc = nn.Linear(num_ftrs, 10)
    optimizer = optim.SGD(model.fc.parameters(), lr=0.01, momentum=0.9)
    scheduler = lr_scheduler.CyclicLR(optimizer, 0.01, 0.05, step_size_up=2)
    out += train_model(model, images, labels, nn.NLLLoss(), optimizer, scheduler, 4)
    model.eval()
    for epsilon in (0, 0.05, 0.2):
        data = images.clone()
        data.requires_grad = True
        loss = F.nll_loss(model(data), labels)
        model.zero_grad()
        loss.backward()
        data_grad = data.grad.data
        output = model(fgsm_attack(data, epsilon, data_grad))
        out.append(F.nll_loss(output, labels).item())
    net, mse_loss = TransformerNet(), torch.nn.MSELoss()
    optimizer = optim.Adam(net.parameters(), 1e-2)
    for _ in range(6):
        optimizer.zero_grad()
        y = net(images)
        variation = (y[..., 1:] - y[..., :-1]).abs().mean() + (y[..., 1:, :] - y[..., :-1, :]).abs().mean()
        loss = mse_loss(y, images) + 0.1 * variation
        loss.backward()
        optimizer.step()
        out.append(loss.item())
    return out
