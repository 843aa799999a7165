"""RecBole 1.2.1 on the same data and settings: its own model, loaders, trainer and evaluation.

Nothing of RecBole is changed but where its loops end. It trains on every prefix of a sequence, each
with one target, and does not leave a user's history out of the ranking; both are its own ways.
"""

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from measure import Request, Stretch, report, sequences

MODELS = {"sasrec": "SASRec", "bert4rec": "BERT4Rec", "gru4rec": "GRU4Rec", "caser": "Caser"}


def settings(request: Request, folder: Path) -> dict:
    """RecBole's configuration; what is not named here is its default."""
    d, dropout = request.hidden_size, request.dropout
    of_model = {
        "sasrec": {"n_layers": 2, "n_heads": 1, "hidden_size": d, "inner_size": d, "hidden_act": "relu"},
        "bert4rec": {"n_layers": 2, "n_heads": 1, "hidden_size": d, "inner_size": d, "hidden_act": "relu"},
        "gru4rec": {"embedding_size": d, "hidden_size": d, "num_layers": 1, "dropout_prob": dropout},
        "caser": {"embedding_size": d, "nv": 4, "nh": 16, "dropout_prob": dropout},
    }[request.model]
    if request.model in ("sasrec", "bert4rec"):
        of_model |= {"hidden_dropout_prob": dropout, "attn_dropout_prob": dropout}
    if request.model == "bert4rec":
        of_model |= {"mask_ratio": 0.6}
    # BERT4Rec draws the negatives of its masked items itself.
    one_negative = {"distribution": "uniform", "sample_num": 1}
    softmax = request.loss == "cross-entropy"
    return of_model | {
        "data_path": str(folder),
        "checkpoint_dir": str(folder / "saved"),
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "TIME_FIELD": "order",
        "load_col": {"inter": ["user_id", "item_id", "order"]},
        "MAX_ITEM_LIST_LENGTH": request.caser_window if request.model == "caser" else request.max_len,
        "loss_type": "CE" if softmax else "BPR",
        "train_neg_sample_args": None if softmax or request.model == "bert4rec" else one_negative,
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
        "metrics": ["Hit", "NDCG"],
        "topk": [10],
        "valid_metric": "NDCG@10",
        "train_batch_size": request.batch_size,
        "eval_batch_size": request.eval_batch_size,
        "learning_rate": request.lr,
        "seed": request.seed,
        "use_gpu": False,
        "state": "ERROR",
        "show_progress": False,
    }


def write_atomic_file(request: Request, folder: Path) -> None:
    """The interactions in RecBole's own format."""
    (folder / "peer").mkdir()
    with (folder / "peer/peer.inter").open("w") as out:
        out.write("user_id:token\titem_id:token\torder:float\n")
        for user, items in sequences(request.data).items():
            out.writelines(f"{user}\t{item}\t{order}\n" for order, item in enumerate(items))


def stop_early(loader, budget: float, targets: Callable) -> Stretch:
    """Makes a loader end when its batches have used up a budget.

    RecBole asks loaders for their class, so it becomes a subclass of it.
    """
    of_loader = type(loader)
    stretch = Stretch(of_loader.__iter__(loader), budget, interactions, targets)

    class StopsEarly(of_loader):
        def __iter__(self) -> Iterator:
            return iter(stretch)

    loader.__class__ = StopsEarly
    return stretch


def interactions(batch) -> int:
    """Rows of a batch; for evaluation it is the first of a tuple."""
    return len(batch[0] if isinstance(batch, tuple) else batch)


def targets(batch) -> int:
    """Items a training batch must name: one for each prefix, or those that BERT4Rec's mask hides."""
    return (batch["MASK_INDEX"] > 0).sum() if "MASK_INDEX" in batch.interaction else len(batch)


def measure(request: Request, folder: Path) -> None:
    """Times one epoch of RecBole's trainer and one evaluation, or as much as the request allows."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.trainer import Trainer
    from recbole.utils import get_model, init_seed

    torch.set_num_threads(1)
    sys.argv = sys.argv[:1]  # RecBole reads settings from it.
    config = Config(model=MODELS[request.model], dataset="peer", config_dict=settings(request, folder))
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    train, _, test = data_preparation(config, dataset)
    model = get_model(config["model"])(config, train._dataset)
    trainer = Trainer(config, model)

    training = stop_early(train, request.train_seconds, targets)
    evaluation = stop_early(test, request.evaluation_seconds, interactions)
    trainer._train_epoch(train, 0)
    trainer.evaluate(test, load_best_model=False)
    report(
        training.facts(len(train._dataset), request.batch_size),
        evaluation.facts(len(test._dataset), request.eval_batch_size),
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # pandas and torch deprecate what RecBole calls.
    logging.disable(logging.WARNING)
    request = Request.read()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)  # RecBole leaves logs where it runs.
        write_atomic_file(request, Path(name))
        measure(request, Path(name))
