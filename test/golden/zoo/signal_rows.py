"""Networks for text and for signals, written from the papers."""

import torch
from torch import nn
from torch.nn import functional as F


class TextCNN(nn.Module):
    def __init__(self, words=18765):
        super().__init__()
        self.embed = nn.Embedding(words, 300, padding_idx=0)
        self.convs = nn.ModuleList(nn.Conv2d(1, 100, (k, 300)) for k in (3, 4, 5))
        self.fc1 = nn.Linear(300, 2)

    def forward(self, tokens):
        x = self.embed(tokens).unsqueeze(1)
        return self.fc1(torch.cat([F.relu(conv(x)).squeeze(3).max(2).values for conv in self.convs], 1))


class Block(nn.Module):
    def __init__(self, before, after, kernel, stride):
        super().__init__()
        self.conv1 = nn.Conv1d(before, after, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm1d(after)
        self.conv2 = nn.Conv1d(after, after, kernel, 1, kernel // 2, bias=False)
        self.bn2 = nn.BatchNorm1d(after)
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv1d(before, after, 1, stride, bias=False), nn.BatchNorm1d(after))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet1d(nn.Module):
    def __init__(self, leads=12, classes=5, kernel=5):
        super().__init__()
        self.conv1 = nn.Conv1d(leads, 64, kernel + 2, 2, kernel // 2 + 1, bias=False)
        self.bn1 = nn.BatchNorm1d(64)
        for i, (before, after) in enumerate([(64, 64), (64, 128), (128, 256), (256, 512)]):
            blocks = Block(before, after, kernel, 1 if i == 0 else 2), Block(after, after, kernel, 1)
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = F.max_pool1d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(x.mean(2))


ROWS = {
    "textcnn": {
        "model": TextCNN,
        "small": {"model": lambda: TextCNN(90), "options": {"inChannels": 90}},
        "tokens": 90,
        "input": (12,),
        "native": (56,),
        "classes": 2,
        "steps": 1,
        "everywhere": True,
    },
    "resnet1d18": {
        "model": ResNet1d,
        "input": (12, 300),
        "native": (12, 1000),
        "classes": 5,
        "kinks": True,
        "everywhere": True,
    },
}
