"""GRU encoder and attention decoder of the tutorials: packed sequences, bmm, teacher forcing; a CTC recogniser beside."""

import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

SOS_token, EOS_token, MAX_LENGTH = 0, 1, 8
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class EncoderRNN(nn.Module):
    def __init__(self, input_size, hidden_size, dropout_p=0.1):
        super().__init__()
        self.embedding = nn.Embedding(input_size, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout_p)

    def forward(self, input, lengths):
        embedded = self.dropout(self.embedding(input))
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        output, hidden = self.gru(packed)
        output, _ = pad_packed_sequence(output, batch_first=True, total_length=input.size(1))
        return output, hidden


class BahdanauAttention(nn.Module):
    def __init__(self, hidden_size):
        super().__init__()
        self.Wa, self.Ua = nn.Linear(hidden_size, hidden_size), nn.Linear(hidden_size, hidden_size)
        self.Va = nn.Linear(hidden_size, 1)

    def forward(self, query, keys):
        scores = self.Va(torch.tanh(self.Wa(query) + self.Ua(keys)))
        scores = scores.squeeze(2).unsqueeze(1)
        weights = F.softmax(scores, dim=-1)
        return torch.bmm(weights, keys), weights


class AttnDecoderRNN(nn.Module):
    def __init__(self, hidden_size, output_size):
        super().__init__()
        self.embedding = nn.Embedding(output_size, hidden_size)
        self.attention = BahdanauAttention(hidden_size)
        self.gru = nn.GRU(2 * hidden_size, hidden_size, batch_first=True)
        self.out = nn.Linear(hidden_size, output_size)

    def forward(self, encoder_outputs, encoder_hidden, target_tensor=None):
        batch_size = encoder_outputs.size(0)
        decoder_input = torch.empty(batch_size, 1, dtype=torch.long, device=device).fill_(SOS_token)
        decoder_hidden, decoder_outputs, attentions = encoder_hidden, [], []
        for i in range(MAX_LENGTH):
            embedded, query = self.embedding(decoder_input), decoder_hidden.permute(1, 0, 2)
            context, attn_weights = self.attention(query, encoder_outputs)
            output, decoder_hidden = self.gru(torch.cat((embedded, context), dim=2), decoder_hidden)
            output = self.out(output)
            decoder_outputs.append(output)
            attentions.append(attn_weights)
            if target_tensor is not None:
                decoder_input = target_tensor[:, i].unsqueeze(1)
            else:
                _, topi = output.topk(1)
                decoder_input = topi.squeeze(-1).detach()
        return F.log_softmax(torch.cat(decoder_outputs, dim=1), dim=-1), decoder_hidden, torch.cat(attentions, dim=1)


class Recogniser(nn.Module):
    def __init__(self, labels):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(6, 16, 3, 2, 1), nn.BatchNorm1d(16), nn.Hardtanh(0, 20, inplace=True))
        self.rnn, self.fc = nn.RNN(16, 16, bidirectional=True, nonlinearity="relu"), nn.Linear(32, labels)

    def forward(self, x):
        x, _ = self.rnn(self.conv(x).permute(2, 0, 1).contiguous())
        return self.fc(x).log_softmax(2)


def losses():
    random.seed(0)
    rng = np.random.default_rng(0)
    lengths = torch.from_numpy(rng.integers(2, MAX_LENGTH + 1, 6))
    input = torch.from_numpy(rng.integers(2, 15, (6, MAX_LENGTH)))
    target = input.flip(1).masked_fill(torch.arange(MAX_LENGTH)[None] >= lengths[:, None], EOS_token)
    encoder, decoder, out = EncoderRNN(15, 16).to(device), AttnDecoderRNN(16, 15).to(device), []
    encoder_optimizer, decoder_optimizer = (optim.Adam(m.parameters(), lr=0.01) for m in (encoder, decoder))
    criterion = nn.NLLLoss()
    for _ in range(8):
        encoder_optimizer.zero_grad()
        decoder_optimizer.zero_grad()
        encoder_outputs, encoder_hidden = encoder(input, lengths)
        forced = target if random.random() < 0.5 else None
        decoder_outputs, _, _ = decoder(encoder_outputs, encoder_hidden, forced)
        loss = criterion(decoder_outputs.view(-1, decoder_outputs.size(-1)), target.view(-1))
        loss.backward()
        encoder_optimizer.step()
        decoder_optimizer.step()
        out.append(loss.item())
    speech = torch.from_numpy(rng.standard_normal((3, 6, 24))).float()
    model, ctc = Recogniser(10), nn.CTCLoss(blank=0, zero_infinity=True)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    targets = torch.from_numpy(rng.integers(1, 10, 9)).int()
    for _ in range(8):
        log_probs = model(speech)
        sizes = torch.full((3,), log_probs.size(0), dtype=torch.int32)
        loss = ctc(log_probs, targets, sizes, torch.tensor([2, 4, 3], dtype=torch.int))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 400)
        optimizer.step()
        out += [loss.item(), log_probs.argmax(-1).unique_consecutive(dim=0).numel()]
    return out
