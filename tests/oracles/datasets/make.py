"""Small files in the form in which data sets are published, and the sequences that pandas reads from them.

    pip install pandas pyarrow zstandard
    python tests/oracles/datasets/make.py

writes `tests/fixtures/datasets/`: a folder per data set, and `expected.json` with the sequence of each user that has
three interactions, users in the order of their first row, and with titles of items. The content is made up; the forms
are the publishers'. `crates/genair-data/tests/formats.rs` and `crates/genair-spec/tests/recipes.rs` compare.
"""

import ast
import csv
import datetime
import gzip
import io
import json
import pathlib
import random
import tarfile
import zipfile

import pandas as pd
import zstandard

OUT = pathlib.Path(__file__).parents[2] / "fixtures" / "datasets"
EPOCH = 1_400_000_000

TITLES = [
    "Café Amélie", "Léon: The Professional, 1994", "The \"Best\" One", "It's Alive", "Salt & Pepper",
    "Crème brûlée", "A;B", "Über", "Nail | Polish",
]
RANDOM = random.Random(7)


def interactions(first_user=1, first_item=1):
    """Rows (user, item, rating, seconds) in no order of time, with ties and repeats; one user is short."""
    rows = []
    for user, length in enumerate([4, 5, 2, 6, 3], first_user):
        for _ in range(length):
            item = first_item + RANDOM.randrange(len(TITLES))
            rows.append((user, item, RANDOM.randint(1, 5), EPOCH + 86_400 * RANDOM.randrange(6)))
    RANDOM.shuffle(rows)
    return rows


ROWS = interactions()
TITLE = dict(enumerate(TITLES, 1))


def utc(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


def folder(name):
    path = OUT / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def gz(path, text):
    # Without the time of day, so that the file is the same whenever it is made.
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def archive(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in files.items():
            out.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)


def tar_gz(path, files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as out:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    path.write_bytes(gzip.compress(buffer.getvalue(), mtime=0))


def lines(rows, separator="\t"):
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)


def table(header, rows, **options):
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n", **options)
    if header:
        writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()


def sequences(frame, user, item, time=None):
    """What everybody does with a frame: order it, and group it by user."""
    frame = frame[[user, item] + ([time] if time else [])].copy()
    frame[user], frame[item] = frame[user].astype(str), frame[item].astype(str)
    users = list(dict.fromkeys(frame[user]))
    if time:
        frame = frame.sort_values(time, kind="stable")
    grouped = frame.groupby(user, sort=False)[item].apply(list)
    return [[own, grouped[own]] for own in users if len(grouped[own]) >= 3]


def titles(ids, texts):
    return {str(own): text for own, text in zip(ids, texts) if isinstance(text, str)}


EXPECTED = {}


def expect(name, sequences, titles=None):
    EXPECTED[name] = {"sequences": sequences, "titles": titles or {}}


def movielens_1m():
    ratings = lines(ROWS, "::")
    movies = lines([(i, t, "Action|Drama") for i, t in TITLE.items()], "::").encode("latin-1")
    path = folder("movielens-1m") / "ml-1m.zip"
    archive(path, {"ml-1m/README": b"", "ml-1m/ratings.dat": ratings.encode(), "ml-1m/movies.dat": movies})
    with zipfile.ZipFile(path) as files:
        names = ["user", "item", "rating", "time"]
        frame = pd.read_csv(files.open("ml-1m/ratings.dat"), sep="::", engine="python", names=names)
        items = pd.read_csv(files.open("ml-1m/movies.dat"), sep="::", engine="python", names=["id", "title", "genres"],
                            encoding="latin-1", quoting=csv.QUOTE_NONE)
    expect("movielens-1m", sequences(frame, "user", "item", "time"), titles(items.id, items.title))


def movielens_20m():
    ratings = table(["userId", "movieId", "rating", "timestamp"], [(u, i, r + 0.5, t) for u, i, r, t in ROWS])
    movies = table(["movieId", "title", "genres"], [(i, t, "Action|Drama") for i, t in TITLE.items()])
    path = folder("movielens-20m") / "ml-20m.zip"
    archive(path, {"ml-20m/ratings.csv": ratings, "ml-20m/movies.csv": movies})
    with zipfile.ZipFile(path) as files:
        frame = pd.read_csv(files.open("ml-20m/ratings.csv"))
        items = pd.read_csv(files.open("ml-20m/movies.csv"))
    expect("movielens-20m", sequences(frame, "userId", "movieId", "timestamp"), titles(items.movieId, items.title))


def asin(item):
    return f"B00{item:07d}"


def amazon_2014():
    reviews = [
        {"reviewerID": f"A{u}", "asin": asin(i), "reviewerName": "J. \"X\"", "helpful": [0, 1], "reviewText": "a\nb",
         "overall": float(r), "unixReviewTime": t, "reviewTime": utc(t).strftime("%m %-d, %Y")}
        for u, i, r, t in ROWS
    ]
    meta = [
        {"asin": asin(i), "title": t, "price": 9.5, "imUrl": "http://x/1.jpg", "related": {"also_viewed": [asin(1)]},
         "salesRank": {"Beauty": 5}, "categories": [["Beauty", "Makeup"]]}
        for i, t in TITLE.items()
    ]
    path = folder("amazon-2014-Beauty")
    gz(path / "reviews_Beauty_5.json.gz", "".join(json.dumps(own) + "\n" for own in reviews))
    gz(path / "meta_Beauty.json.gz", "".join(repr(own) + "\n" for own in meta))
    frame = pd.read_json(path / "reviews_Beauty_5.json.gz", lines=True)
    with gzip.open(path / "meta_Beauty.json.gz", "rt") as file:
        items = pd.DataFrame([ast.literal_eval(line) for line in file])
    expect("amazon-2014-Beauty", sequences(frame, "reviewerID", "asin", "unixReviewTime"), titles(items.asin, items.title))


def amazon_2018():
    reviews = [
        {"overall": float(r), "verified": True, "reviewTime": utc(t).strftime("%m %-d, %Y"), "reviewerID": f"A{u}",
         "asin": asin(i), "style": {"Size:": " L"}, "reviewText": "ok", "unixReviewTime": t}
        for u, i, r, t in ROWS
    ]
    meta = [{"category": ["Luxury"], "description": ["x"], "title": t, "brand": "B", "asin": asin(i)} for i, t in TITLE.items()]
    meta.append({**meta[2], "title": "again"})
    path = folder("amazon-2018-Luxury_Beauty")
    gz(path / "Luxury_Beauty_5.json.gz", "".join(json.dumps(own) + "\n" for own in reviews))
    gz(path / "meta_Luxury_Beauty.json.gz", "".join(json.dumps(own) + "\n" for own in meta))
    frame = pd.read_json(path / "Luxury_Beauty_5.json.gz", lines=True)
    items = pd.read_json(path / "meta_Luxury_Beauty.json.gz", lines=True).drop_duplicates("asin")
    expect("amazon-2018-Luxury_Beauty", sequences(frame, "reviewerID", "asin", "unixReviewTime"), titles(items.asin, items.title))


def amazon_2023():
    rows = [(f"A{u}", asin(i), float(r), t * 1000 + 7) for u, i, r, t in ROWS]
    meta = [
        {"main_category": "All Beauty", "title": t, "average_rating": 4.5, "features": [], "images": [{"large": "http://x"}],
         "parent_asin": asin(i), "price": None}
        for i, t in TITLE.items()
    ]
    path = folder("amazon-2023-All_Beauty")
    gz(path / "All_Beauty.csv.gz", table(["user_id", "parent_asin", "rating", "timestamp"], rows))
    gz(path / "meta_All_Beauty.jsonl.gz", "".join(json.dumps(own) + "\n" for own in meta))
    frame = pd.read_csv(path / "All_Beauty.csv.gz")
    items = pd.read_json(path / "meta_All_Beauty.jsonl.gz", lines=True)
    expect("amazon-2023-All_Beauty", sequences(frame, "user_id", "parent_asin", "timestamp"), titles(items.parent_asin, items.title))


def yelp():
    reviews = [
        {"review_id": f"r{n}", "user_id": f"u{u}", "business_id": f"b{i}", "stars": float(r), "useful": 0, "text": "é\n",
         "date": utc(t + 61 * n).strftime("%Y-%m-%d %H:%M:%S")}
        for n, (u, i, r, t) in enumerate(ROWS)
    ]
    businesses = [{"business_id": f"b{i}", "name": t, "city": "Tempe", "stars": 3.5, "categories": "Pizza, Food"} for i, t in TITLE.items()]
    path = folder("yelp")
    write = lambda name, rows: (path / name).write_text("".join(json.dumps(own) + "\n" for own in rows))
    write("yelp_academic_dataset_review.json", reviews)
    write("yelp_academic_dataset_business.json", businesses)
    frame = pd.read_json(path / "yelp_academic_dataset_review.json", lines=True)
    items = pd.read_json(path / "yelp_academic_dataset_business.json", lines=True)
    expect("yelp", sequences(frame, "user_id", "business_id", "date"), titles(items.business_id, items.name))


def steam():
    def py2(value):
        """What Python 2 writes of a value."""
        if isinstance(value, str):
            quote = '"' if "'" in value and '"' not in value else "'"
            text = value.encode("unicode_escape").decode().replace(quote, "\\" + quote)
            return f"u{quote}{text}{quote}"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{py2(k)}: {py2(v)}" for k, v in value.items()) + "}"
        return repr(value)
    reviews = [
        {"username": f"ü{u}", "hours": 1.5, "product_id": str(i), "date": utc(t).strftime("%Y-%m-%d"), "early_access": False, "text": "it's"}
        for u, i, _, t in ROWS
    ]
    games = [{"id": str(i), "app_name": t, "price": 4.99, "url": "http://x"} for i, t in TITLE.items()]
    games.append({"app_name": "no id"})
    path = folder("steam")
    gz(path / "steam_reviews.json.gz", "".join(py2(own) + "\n" for own in reviews))
    gz(path / "steam_games.json.gz", "".join(py2(own) + "\n" for own in games))
    read = lambda name: pd.DataFrame([ast.literal_eval(line) for line in gzip.open(path / name, "rt", encoding="utf-8")])
    items = read("steam_games.json.gz").dropna(subset=["id"])
    expect("steam", sequences(read("steam_reviews.json.gz"), "username", "product_id", "date"), titles(items.id, items.app_name))


def lastfm_1k():
    rows = [(f"user_{u:06d}", utc(t).strftime("%Y-%m-%dT%H:%M:%SZ"), f"art{i % 3}", f"Artist {i % 3}", f"tra{i}" if i != 3 else "", "\"Song\" " + TITLE[i])
            for u, i, _, t in ROWS]
    path = folder("lastfm-1k") / "lastfm-dataset-1K.tar.gz"
    name = "lastfm-dataset-1K/userid-timestamp-artid-artname-traid-traname.tsv"
    tar_gz(path, {"lastfm-dataset-1K/README.txt": b"x" * 700, name: lines(rows).encode()})
    with tarfile.open(path) as files:
        frame = pd.read_csv(files.extractfile(name), sep="\t", names=["user", "time", "a", "b", "track", "c"], quoting=csv.QUOTE_NONE)
    expect("lastfm-1k", sequences(frame.dropna(subset=["track"]), "user", "track", "time"))


def gowalla():
    rows = [(u, utc(t).strftime("%Y-%m-%dT%H:%M:%SZ"), 30.2, -97.7, i) for u, i, _, t in ROWS]
    path = folder("gowalla") / "loc-gowalla_totalCheckins.txt.gz"
    gz(path, lines(rows))
    frame = pd.read_csv(path, sep="\t", names=["user", "time", "lat", "lon", "item"])
    expect("gowalla", sequences(frame, "user", "item", "time"))


def diginetica():
    rows = [(u, "NA", i, (t - EPOCH) // 10, utc(t).strftime("%Y-%m-%d")) for u, i, _, t in ROWS]
    path = folder("diginetica")
    (path / "train-item-views.csv").write_text(lines([("sessionId", "userId", "itemId", "timeframe", "eventdate")] + rows, ";"))
    products = [(i, 7, f"{i},{i + 1}") for i in TITLE]
    (path / "products.csv").write_text(lines([("itemId", "pricelog2", "product.name.tokens")] + products, ";"))
    frame = pd.read_csv(path / "train-item-views.csv", sep=";")
    expect("diginetica", sequences(frame, "sessionId", "itemId", "timeframe"))


def kuairand():
    header = ["user_id", "video_id", "date", "hourmin", "time_ms", "is_click", "is_like"]
    rows = [(u, i, 20220408, 100, t * 1000, int(r > 2), 0) for u, i, r, t in ROWS]
    path = folder("kuairand") / "KuaiRand-Pure.tar.gz"
    names = [f"KuaiRand-Pure/data/log_standard_4_{part}_pure.csv" for part in ("08_to_4_21", "22_to_5_08")]
    tar_gz(path, {name: table(header, part).encode() for name, part in zip(names, [rows[:9], rows[9:]])})
    with tarfile.open(path) as files:
        frame = pd.concat([pd.read_csv(files.extractfile(name)) for name in names])
    expect("kuairand", sequences(frame[frame.is_click > 0], "user_id", "video_id", "time_ms"))


def mind():
    users = {u: [i for own, i, _, _ in ROWS if own == u] for u, *_ in ROWS}
    rows, number = [], 0
    for u, items in users.items():
        for clock in ("11/11/2019 9:05:58 AM", "11/12/2019 6:11:30 PM"):
            number += 1
            rows.append((number, f"U{u}", clock, " ".join(f"N{i}" for i in dict.fromkeys(items)), "N1-0 N2-1"))
    rows.append((number + 1, "U99", "11/12/2019 6:11:30 PM", "", "N1-0 N2-1"))
    news = [(f"N{i}", "sports", "golf", t, "An abstract.", "https://x", "[]", "[]") for i, t in TITLE.items()]
    path = folder("mind") / "MINDsmall_train.zip"
    archive(path, {"behaviors.tsv": lines(rows), "news.tsv": lines(news)})
    with zipfile.ZipFile(path) as files:
        names = ["impression", "user", "time", "history", "impressions"]
        frame = pd.read_csv(files.open("behaviors.tsv"), sep="\t", names=names, quoting=csv.QUOTE_NONE)
        items = pd.read_csv(files.open("news.tsv"), sep="\t", names=list("abcdefgh"), quoting=csv.QUOTE_NONE)
    frame = frame.dropna(subset=["history"]).drop_duplicates("user")
    frame = frame.assign(item=frame.history.str.split(" ")).explode("item")
    expect("mind", sequences(frame, "user", "item"), titles(items.a, items.d))


def goodreads():
    rows = [
        {"user_id": f"u{u}", "book_id": str(i), "review_id": f"r{n}", "is_read": False, "rating": r - 1,
         "date_added": utc(t).astimezone(datetime.timezone(datetime.timedelta(hours=-7 - n % 2))).strftime("%a %b %d %H:%M:%S %z %Y")}
        for n, (u, i, r, t) in enumerate(ROWS)
    ]
    books = [{"isbn": "", "book_id": str(i), "title": t, "popular_shelves": [{"count": "3", "name": "x"}], "url": "http://x"} for i, t in TITLE.items()]
    path = folder("goodreads-poetry")
    gz(path / "goodreads_interactions_poetry.json.gz", "".join(json.dumps(own) + "\n" for own in rows))
    gz(path / "goodreads_books_poetry.json.gz", "".join(json.dumps(own) + "\n" for own in books))
    frame = pd.DataFrame(json.loads(line) for line in gzip.open(path / "goodreads_interactions_poetry.json.gz", "rt"))
    frame["time"] = pd.to_datetime(frame.date_added, format="%a %b %d %H:%M:%S %z %Y", utc=True)
    items = pd.DataFrame(json.loads(line) for line in gzip.open(path / "goodreads_books_poetry.json.gz", "rt"))
    expect("goodreads-poetry", sequences(frame, "user_id", "book_id", "time"), titles(items.book_id, items.title))


def recbole_parts():
    path = folder("recbole-parts")
    header = [("user_id:token", "item_id:token", "timestamp:float")]
    rows = [(u, i, float(t)) for u, i, _, t in ROWS]
    for name, part in zip(("train", "valid", "test"), (rows[:8], rows[8:14], rows[14:])):
        (path / f"ds.{name}.inter").write_text(lines(header + part))
    items = [(i, t, "Action Drama") for i, t in TITLE.items()]
    (path / "ds.item").write_text(lines([("item_id:token", "movie_title:token_seq", "genres:token_seq")] + items))
    frame = pd.concat(pd.read_csv(path / f"ds.{name}.inter", sep="\t") for name in ("train", "valid", "test"))
    frame.columns = ["user", "item", "time"]
    items = pd.read_csv(path / "ds.item", sep="\t", quoting=csv.QUOTE_NONE)
    expect("recbole-parts", sequences(frame, "user", "item", "time"), titles(items["item_id:token"], items["movie_title:token_seq"]))


def s3_rec():
    """`Beauty.txt` of CIKM2020-S3Rec: a user and all items per line."""
    path = folder("s3-rec") / "Beauty.txt"
    users = {u: [i for own, i, _, _ in ROWS if own == u] for u, *_ in ROWS}
    path.write_text("".join(f"{u} {' '.join(map(str, items))}\n" for u, items in users.items()))
    frame = pd.DataFrame([(u, i) for u, *items in map(str.split, path.read_text().splitlines()) for i in items], columns=["u", "i"])
    expect("s3-rec", sequences(frame, "u", "i"))


def llm_esr():
    """LLM-ESR's `inter_seq.txt` and `id_map.json`, with Yelp's businesses, of which one is gone and one is another's."""
    path = folder("llm-esr-yelp")
    users = {u: [i for own, i, _, _ in ROWS if own == u] for u, *_ in ROWS}
    (path / "inter_seq.txt").write_text("".join(f"{u} {' '.join(map(str, items))}\n" for u, items in users.items()))
    (path / "id_map.json").write_text(json.dumps({"user2id": {"x": "1"}, "item2id": {f"b{i}": str(i) for i in TITLE}}))
    businesses = [{"business_id": f"b{i}", "name": t, "city": "Tempe", "stars": 3.5, "categories": "Food"} for i, t in TITLE.items() if i != 9]
    businesses.append({"business_id": "other", "name": "Other"})
    (path / "yelp_academic_dataset_business.json").write_text("".join(json.dumps(own) + "\n" for own in businesses))
    frame = pd.DataFrame([(u, i) for u, *items in map(str.split, (path / "inter_seq.txt").read_text().splitlines()) for i in items], columns=["u", "i"])
    items = pd.read_json(path / "yelp_academic_dataset_business.json", lines=True)
    ids = items.business_id.map(json.loads((path / "id_map.json").read_text())["item2id"]).dropna()
    expect("llm-esr-yelp", sequences(frame, "u", "i"), titles(ids, items.name[ids.index]))


def sasrec():
    """`Beauty.txt` of SASRec: a user and an item per line, in the order of time, no header."""
    path = folder("sasrec") / "Beauty.txt"
    path.write_text(lines([(u, i) for u, i, *_ in ROWS], " "))
    expect("sasrec", sequences(pd.read_csv(path, sep=r"\s+", names=["u", "i"]), "u", "i"))


def book_crossing():
    """Quoted fields between semicolons in Latin-1, times as ISO 8601 with zones."""
    path = folder("book-crossing")
    rows = [(u, TITLE[i], r, utc(t).astimezone(datetime.timezone(datetime.timedelta(hours=i - 4))).isoformat()) for u, i, r, t in ROWS]
    text = table(["User-ID", "ISBN", "Book-Rating", "Date"], rows, delimiter=";", quoting=csv.QUOTE_ALL)
    (path / "BX-Book-Ratings.csv").write_bytes(text.encode("latin-1"))
    frame = pd.read_csv(path / "BX-Book-Ratings.csv", sep=";", encoding="latin-1")
    frame["Date"] = pd.to_datetime(frame.Date, utc=True)
    expect("book-crossing", sequences(frame, "User-ID", "ISBN", "Date"))


def spreadsheet():
    """What a spreadsheet saves as "Unicode text": UTF-16 with a mark, tabs, and dates of its country."""
    path = folder("spreadsheet") / "log.txt"
    rows = [("user", "item", "date")] + [(f"ü{u}", TITLE[i], utc(t).strftime("%d/%b/%Y")) for u, i, _, t in ROWS]
    path.write_bytes(lines(rows).replace("\n", "\r\n").encode("utf-16"))
    frame = pd.read_csv(path, sep="\t", encoding="utf-16", quoting=csv.QUOTE_NONE)
    frame["date"] = pd.to_datetime(frame.date, format="%d/%b/%Y")
    expect("spreadsheet", sequences(frame, "user", "item", "date"))


def nested():
    """JSON lines with objects in objects, compressed by Zstandard in two frames, times in nanoseconds."""
    path = folder("nested") / "events.ndjson.zst"
    rows = [{"user": {"id": u, "name": "x"}, "item": {"sku": f"s{i}"}, "at": t * 10**9 + n, "tags": ["a"]} for n, (u, i, _, t) in enumerate(reversed(ROWS))]
    rows.reverse()
    texts = ["".join(json.dumps(own) + "\n" for own in part) for part in (rows[:7], rows[7:])]
    path.write_bytes(b"".join(zstandard.ZstdCompressor(write_checksum=True).compress(text.encode()) for text in texts))
    with zstandard.open(path, "rt") as _:
        text = "".join(texts)
    frame = pd.json_normalize([json.loads(line) for line in text.splitlines()])
    expect("nested", sequences(frame, "user.id", "item.sku", "at"))


def categories():
    """One file per category, without a header, one log together."""
    path = folder("categories")
    rows = [(u, i, r, t) for u, i, r, t in ROWS]
    for name, part in (("Books", rows[:10]), ("Toys", rows[10:])):
        (path / f"ratings_{name}.csv").write_text(table(None, part))
    frame = pd.concat(pd.read_csv(path / f"ratings_{name}.csv", names=["u", "i", "r", "t"]) for name in ("Books", "Toys"))
    expect("categories", sequences(frame, "u", "i", "t"))


def parquet():
    path = folder("parquet")
    frame = pd.DataFrame([(u, f"i{i}", utc(t)) for u, i, _, t in ROWS], columns=["user_id", "item_id", "timestamp"])
    frame.to_parquet(path / "interactions.parquet", row_group_size=8)
    items = pd.DataFrame([(f"i{i}", t, ["Action", "Drama"]) for i, t in TITLE.items()], columns=["item_id", "title", "genres"])
    items.to_parquet(path / "items.parquet")
    frame = pd.read_parquet(path / "interactions.parquet")
    expect("parquet", sequences(frame, "user_id", "item_id", "timestamp"), titles(items.item_id, items.title))


if __name__ == "__main__":
    for make in (movielens_1m, movielens_20m, amazon_2014, amazon_2018, amazon_2023, yelp, steam, lastfm_1k, gowalla, diginetica,
                 kuairand, mind, goodreads, recbole_parts, s3_rec, llm_esr, sasrec, book_crossing, spreadsheet, nested, categories, parquet):
        make()
    text = json.dumps(EXPECTED, ensure_ascii=False, indent=1)
    (OUT / "expected.json").write_text(text + "\n")
