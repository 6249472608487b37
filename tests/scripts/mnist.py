"""The convolutional network on digits: Dataset, two workers, Adadelta, StepLR, nll_loss, a test loop, a saved state."""

import os
import tempfile

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.optim.lr_scheduler import StepLR


class Digits(torch.utils.data.Dataset):
    def __init__(self, train, transform=None):
        rng = np.random.default_rng(int(train))
        self.data = rng.integers(0, 256, (48, 16, 16), dtype=np.uint8)
        self.targets = rng.integers(0, 10, 48).tolist()
        self.transform = transform

    def __getitem__(self, index):
        img, target = self.data[index], self.targets[index]
        return (self.transform(img) if self.transform is not None else img), target

    def __len__(self):
        return len(self.data)


def transform(picture):
    img = torch.from_numpy(picture).unsqueeze(0).to(dtype=torch.get_default_dtype()).div(255)
    return img.sub_(torch.as_tensor([0.1307]).view(-1, 1, 1)).div_(torch.as_tensor([0.3081]).view(-1, 1, 1))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, 1)
        self.conv2 = nn.Conv2d(8, 16, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(576, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        x = self.dropout2(F.relu(self.fc1(x)))
        return F.log_softmax(self.fc2(x), dim=1)


def losses():
    torch.manual_seed(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    options = {"batch_size": 16, "num_workers": 2, "shuffle": True}
    train_loader = torch.utils.data.DataLoader(Digits(True, transform), **options)
    test_loader = torch.utils.data.DataLoader(Digits(False, transform), batch_size=24)
    model = Net().to(device)
    optimizer = optim.Adadelta(model.parameters(), lr=0.5)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.7)
    out = []
    for _ in range(3):
        model.train()
        for data, target in train_loader:
            data, target = data.to(device), target.to(device)
            optimizer.zero_grad()
            output = model(data)
            loss = F.nll_loss(output, target)
            loss.backward()
            optimizer.step()
            out.append(loss.item())
        model.eval()
        test_loss, correct = 0, 0
        with torch.no_grad():
            for data, target in test_loader:
                output = model(data.to(device))
                test_loss += F.nll_loss(output, target, reduction="sum").item()
                pred = output.argmax(dim=1, keepdim=True)
                correct += pred.eq(target.view_as(pred)).sum().item()
        out += [test_loss / len(test_loader.dataset), correct, scheduler.get_last_lr()[0]]
        scheduler.step()
    with tempfile.TemporaryDirectory() as folder:
        torch.save(model.state_dict(), os.path.join(folder, "mnist_cnn.pt"))
        model.load_state_dict(torch.load(os.path.join(folder, "mnist_cnn.pt"), weights_only=True))
    return out
