"""The published algorithm in plain PyTorch, as the yardstick of `just bench-peers`.

Written afresh from tests/fixtures/README.md: sequences padded on the left to the full window, every
layer on every position, padding included, torch's Adam over the whole item table, ranks by a double
argsort. `--check` compares its forward passes, losses and gradients with the fixtures of the
published code, so that it is neither faster nor slower than what it stands for.

Shapes: B sequences, L places of a window, D width, I items (1 to I; 0 is padding, I + 1 the mask).
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from measure import Request, Stretch, report, sequences
from torch import Tensor, nn
from torch.nn import functional as F

FIXTURES = Path(__file__).resolve().parents[2] / "tests/fixtures"


class FeedForward(nn.Module):
    """Two kernel-1 convolutions with a residual."""

    def __init__(self, d: int, dropout: float) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv1d(d, d, 1), nn.Conv1d(d, d, 1)
        self.dropout1, self.dropout2 = nn.Dropout(dropout), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(x.transpose(1, 2))
        inner = self.conv2(F.relu(self.dropout1(inner)))
        return x + self.dropout2(inner).transpose(1, 2)


class Blocks(nn.Module):
    """Attention blocks with a normed query, and the last norm."""

    def __init__(self, d: int, blocks: int, heads: int, dropout: float, causal: bool) -> None:
        super().__init__()
        norms = lambda: nn.ModuleList(nn.LayerNorm(d, eps=1e-8) for _ in range(blocks))
        attention = lambda: nn.MultiheadAttention(d, heads, dropout, batch_first=True)
        self.attention_layernorms, self.forward_layernorms = norms(), norms()
        self.attention_layers = nn.ModuleList(attention() for _ in range(blocks))
        self.forward_layers = nn.ModuleList(FeedForward(d, dropout) for _ in range(blocks))
        self.last_layernorm = nn.LayerNorm(d, eps=1e-8)
        self.causal = causal

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        places = x.shape[1]
        later = torch.ones(places, places, dtype=torch.bool).triu(1) if self.causal else None
        layers = zip(
            self.attention_layernorms, self.attention_layers, self.forward_layernorms, self.forward_layers
        )
        for attention_norm, attention, forward_norm, feed_forward in layers:
            query = attention_norm(x)
            x = query + attention(query, x, x, attn_mask=later, need_weights=False)[0]
            x = feed_forward(forward_norm(x)) * keep
        return self.last_layernorm(x)


class Transformer(nn.Module):
    """SASRec, or BERT4Rec where it is not causal."""

    def __init__(self, items: int, max_len: int, d: int, dropout: float, *, causal: bool, heads: int = 1):
        super().__init__()
        self.item_emb = nn.Embedding(items + 2, d, padding_idx=0)
        self.pos_emb = nn.Embedding(max_len + 100, d)
        self.dropout = nn.Dropout(dropout)
        self.backbone = Blocks(d, 2, heads, dropout, causal)

    def forward(self, seq: Tensor, positions: Tensor, users: Tensor) -> Tensor:
        keep = (seq != 0).unsqueeze(-1)
        x = self.item_emb(seq) * self.item_emb.embedding_dim**0.5 + self.pos_emb(positions)
        return self.backbone(self.dropout(x) * keep, keep)


class Gru4Rec(nn.Module):
    """A GRU without biases; padding is an input like any other."""

    def __init__(self, items: int, d: int, dropout: float, layers: int = 1) -> None:
        super().__init__()
        self.item_emb = nn.Embedding(items + 2, d, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.backbone = nn.ModuleDict({"gru": nn.GRU(d, d, layers, bias=False, batch_first=True)})

    def forward(self, seq: Tensor, positions: Tensor, users: Tensor) -> Tensor:
        return self.backbone["gru"](self.dropout(self.item_emb(seq)))[0]


class Caser(nn.Module):
    """RecBole's form, at every position: convolutions over the window that ends there."""

    def __init__(self, items: int, users: int, d: int, window: int, nv: int, nh: int, dropout: float) -> None:
        super().__init__()
        self.item_embedding = nn.Embedding(items + 1, d, padding_idx=0)
        self.user_embedding = nn.Embedding(users + 1, d, padding_idx=0)
        self.conv_v = nn.Conv2d(1, nv, (window, 1))
        self.conv_h = nn.ModuleList(nn.Conv2d(1, nh, (k, d)) for k in range(1, window + 1))
        self.fc1 = nn.Linear(nv * d + nh * window, d)
        self.fc2 = nn.Linear(2 * d, d)
        self.dropout = nn.Dropout(dropout)
        self.window = window

    @property
    def item_emb(self) -> nn.Embedding:
        return self.item_embedding

    def of_windows(self, windows: Tensor, users: Tensor) -> Tensor:
        """States of whole windows, ids [M, window] to [M, D]."""
        x = self.item_embedding(windows).unsqueeze(1)
        vertical = self.conv_v(x).flatten(1)
        horizontal = [F.relu(conv(x).squeeze(3)).amax(2) for conv in self.conv_h]
        z = F.relu(self.fc1(self.dropout(torch.cat([vertical, *horizontal], 1))))
        return F.relu(self.fc2(torch.cat([z, self.user_embedding(users)], 1)))

    def forward(self, seq: Tensor, positions: Tensor, users: Tensor) -> Tensor:
        windows = F.pad(seq, (self.window - 1, 0)).unfold(1, self.window, 1)
        states = self.of_windows(windows.flatten(0, 1), users.repeat_interleave(seq.shape[1]))
        return states.unflatten(0, seq.shape)


def bce(model: nn.Module, states: Tensor, pos: Tensor, neg: Tensor) -> Tensor:
    """Binary cross-entropy over places with a target: states [..., D], targets and negatives [...]."""
    chosen = pos > 0
    positive = (states * model.item_emb(pos)).sum(-1)[chosen]
    negative = (states * model.item_emb(neg)).sum(-1)[chosen]
    loss = F.binary_cross_entropy_with_logits
    return loss(positive, torch.ones_like(positive)) + loss(negative, torch.zeros_like(negative))


class Data:
    """Id sequences, and padded batches of them."""

    def __init__(self, request: Request) -> None:
        ids: dict[str, int] = {}
        self.users = [
            np.array([ids.setdefault(item, len(ids) + 1) for item in items])
            for items in sequences(request.data).values()
        ]
        self.items, self.request = len(ids), request
        self.rng = np.random.default_rng(request.seed)
        self.trainable = [user for user, items in enumerate(self.users) if len(items) >= 4]

    def _padded(self, items: np.ndarray) -> np.ndarray:
        window = np.zeros(self.request.max_len, dtype=np.int64)
        items = items[-self.request.max_len :]
        window[self.request.max_len - len(items) :] = items
        return window

    def _positions(self, window: np.ndarray) -> np.ndarray:
        return np.where(window != 0, np.cumsum(window != 0), 0)

    def _negatives(self, targets: np.ndarray, train: np.ndarray) -> np.ndarray:
        """One item outside the training sequence for every place with a target."""
        places = np.flatnonzero(targets)
        drawn = self.rng.integers(1, self.items + 1, len(places))
        while (known := np.isin(drawn, train)).any():
            drawn[known] = self.rng.integers(1, self.items + 1, known.sum())
        negatives = np.zeros_like(targets)
        negatives[places] = drawn
        return negatives

    def _sample(self, user: int, last_item_only: bool) -> tuple[np.ndarray, ...]:
        """Input, targets, negatives and positions of one training sequence."""
        train = self.users[user][:-2]
        match self.request.model:
            case "bert4rec":
                window = self._padded(train)
                targets = window.copy()
                if last_item_only:
                    targets[:-1] = 0
                    window[-1] = self.items + 1
                else:
                    targets[self.rng.random(len(window)) >= 0.6] = 0
                    draw = self.rng.random(len(window))
                    window[(targets != 0) & (draw < 0.8)] = self.items + 1
                    other = (targets != 0) & (draw >= 0.8) & (draw < 0.9)
                    window[other] = self.rng.integers(1, self.items + 1, other.sum())
            case "gru4rec-last":
                window, targets = self._padded(train[:-1]), np.zeros(self.request.max_len, dtype=np.int64)
                targets[-1] = train[-1]
            case _:
                window, targets = self._padded(train[:-1]), self._padded(train[1:])
        return window, targets, self._negatives(targets, train), self._positions(window)

    def training_samples(self) -> list[tuple[int, bool]]:
        """The sequences of an epoch: a user, and whether only the last item is masked."""
        copies = (False, True) if self.request.model == "bert4rec" else (False,)
        return [(user, copy) for user in self.trainable for copy in copies]

    def training_batches(self) -> Iterator[tuple[Tensor, ...]]:
        """An epoch: input, targets, negatives, positions [B, L] and users [B]."""
        samples = self.training_samples()
        self.rng.shuffle(samples)
        for first in range(0, len(samples), self.request.batch_size):
            chosen = [(int(user), bool(copy)) for user, copy in samples[first : first + self.request.batch_size]]
            columns = zip(*(self._sample(user, copy) for user, copy in chosen))
            users = torch.tensor([user + 1 for user, _ in chosen])
            yield *(torch.from_numpy(np.stack(column)) for column in columns), users

    def evaluation_batches(self) -> Iterator[tuple]:
        """All users: input and positions [B, L], users [B], whole histories, targets [B]."""
        for first in range(0, len(self.users), self.request.eval_batch_size):
            items = self.users[first : first + self.request.eval_batch_size]
            inputs = [user[:-1] for user in items]
            if self.request.model == "bert4rec":
                inputs = [np.append(history, self.items + 1) for history in inputs]
            windows = np.stack([self._padded(history) for history in inputs])
            positions = np.stack([self._positions(window) for window in windows])
            users = torch.arange(first + 1, first + 1 + len(items))
            histories, targets = [user[:-1] for user in items], np.array([user[-1] for user in items])
            yield torch.from_numpy(windows), torch.from_numpy(positions), users, histories, torch.from_numpy(targets)


def build(request: Request, data: Data) -> nn.Module:
    """A model with Xavier-normal weights."""
    torch.manual_seed(request.seed)
    d, dropout = request.hidden_size, request.dropout
    match request.model:
        case "sasrec" | "bert4rec":
            causal = request.model == "sasrec"
            model = Transformer(data.items, request.max_len, d, dropout, causal=causal)
        case "gru4rec" | "gru4rec-last":
            model = Gru4Rec(data.items, d, dropout)
        case "caser":
            model = Caser(data.items, len(data.users), d, request.caser_window, 4, 16, dropout)
        case other:
            sys.exit(f"no model `{other}`")
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_normal_(parameter)
    return model


def cross_entropy(model: nn.Module, states: Tensor, pos: Tensor, items: int) -> Tensor:
    """Cross-entropy over all items at the places with a target: states [..., D], targets [...]."""
    chosen = pos > 0
    logits = states[chosen] @ model.item_emb.weight[1 : items + 1].T
    return F.cross_entropy(logits, pos[chosen] - 1)


def train(model: nn.Module, batches: Stretch, request: Request, items: int) -> None:
    """One epoch."""
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=request.lr)
    for seq, pos, neg, positions, users in batches:
        optimizer.zero_grad()
        states = model(seq, positions, users)
        softmax = request.loss == "cross-entropy"
        loss = cross_entropy(model, states, pos, items) if softmax else bce(model, states, pos, neg)
        loss.backward()
        optimizer.step()
        loss.item()


@torch.no_grad()
def evaluate(model: nn.Module, data: Data, batches: Stretch) -> np.ndarray:
    """Rank of every user's last item among the items outside the history, from 0."""
    model.eval()
    ranks = []
    for seq, positions, users, histories, targets in batches:
        states = model(seq, positions, users)[:, -1]
        scores = states @ model.item_emb.weight[: data.items + 1].T
        scores[:, 0] = -torch.inf
        rows = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
        kept = scores.gather(1, targets.unsqueeze(1))
        scores[rows, np.concatenate(histories)] = -torch.inf
        scores.scatter_(1, targets.unsqueeze(1), kept)
        order = (-scores).argsort(1).argsort(1)
        ranks.append(order.gather(1, targets.unsqueeze(1)).squeeze(1).numpy())
    return np.concatenate(ranks)


def measure(request: Request) -> None:
    """Times one epoch of training and one evaluation, or as much of them as the request allows."""
    torch.set_num_threads(1)
    data = Data(request)
    model = build(request, data)
    training = Stretch(
        data.training_batches(),
        request.train_seconds,
        sequences=lambda batch: len(batch[0]),
        targets=lambda batch: (batch[1] > 0).sum(),
    )
    train(model, training, request, data.items)
    users = lambda batch: len(batch[0])
    evaluation = Stretch(data.evaluation_batches(), request.evaluation_seconds, users, users)
    evaluate(model, data, evaluation)
    report(
        training.facts(len(data.training_samples()), request.batch_size),
        evaluation.facts(len(data.users), request.eval_batch_size),
    )


def check() -> None:
    """Compares every model with its fixture; ends with an error at the first difference."""
    from safetensors.torch import load_file

    def close(found: Tensor, expected: Tensor, what: str, relative: float = 0.0) -> None:
        if not torch.allclose(found, expected.reshape(found.shape), rtol=relative, atol=1e-5):
            sys.exit(f"{what}: off by {(found - expected.reshape(found.shape)).abs().max():.1e}")

    def gradients(model: nn.Module, loss: Tensor, fixture: dict, prefix: str, what: str) -> None:
        model.zero_grad()
        loss.backward()
        for name, parameter in model.named_parameters():
            close(parameter.grad, fixture[f"{prefix}{name}"], f"{what}: gradient of {name}", 1e-4)

    models = {
        "sasrec_causal": Transformer(20, 7, 8, 0.0, causal=True, heads=2),
        "sasrec_noncausal": Transformer(20, 7, 8, 0.0, causal=False, heads=2),
        "bert4rec": Transformer(20, 7, 8, 0.0, causal=False, heads=2),
        "gru4rec": Gru4Rec(20, 8, 0.0),
        "gru4rec_seq2layer": Gru4Rec(20, 8, 0.0, layers=2),
        "caser": Caser(20, 3, 8, 5, 2, 3, 0.0),
    }
    for name, model in models.items():
        fixture = load_file(FIXTURES / f"{name}.safetensors")
        model.load_state_dict({key[2:]: value for key, value in fixture.items() if key.startswith("w.")})
        seq, pos, neg = fixture["in.seq"], fixture["in.pos"], fixture["in.neg"]
        if name == "caser":
            states = model.of_windows(seq, fixture["in.user"])
            close(states, fixture["out.seq_output"], f"{name}: states")
            close(states @ model.item_emb.weight.T, fixture["out.scores_all"], f"{name}: scores")
            positive, negative = ((states * model.item_emb(ids)).sum(-1) for ids in (pos, neg))
            # RecBole's BPR, and its penalty of 1e-4 times the norms of the weights.
            loss = -torch.log(1e-10 + torch.sigmoid(positive - negative)).mean()
            weights = [p for key, p in model.named_parameters() if key.endswith("weight")]
            loss = loss + 1e-4 * sum(weight.norm(2) for weight in weights)
            close(loss, fixture["out.loss_bpr"], f"{name}: loss")
            gradients(model, loss, fixture, "g_bpr.", name)
        else:
            states = model(seq, fixture["in.positions"], None)
            close(states, fixture["out.feats"], f"{name}: states")
            if name == "gru4rec":
                last = states[:, -1]
                positive = (last * model.item_emb(pos)).sum(-1)
                negative = (last.unsqueeze(1) * model.item_emb(neg)).sum(-1)
                loss = F.softplus(-positive).mean() + F.softplus(negative).mean()
            else:
                loss = bce(model, states, pos, neg)
            close(loss, fixture["out.loss"], f"{name}: loss")
            gradients(model, loss, fixture, "g.", name)
    print(f"the baseline agrees with its {len(models)} fixtures", file=sys.stderr)


if __name__ == "__main__":
    check() if sys.argv[1:] == ["--check"] else measure(Request.read())
