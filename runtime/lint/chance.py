"""Finds chance that nobody chose, and archives that carry the time: what a function can fix by one more argument."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from runtime.lint.finding import Finding, found
from runtime.lint.reading import Reading

_DRAWS: Final = frozenset(
    f"random.{name}"
    for name in (
        *("random", "randint", "randrange", "choice", "choices", "sample", "shuffle", "uniform", "gauss"),
        *("normalvariate", "betavariate", "expovariate", "triangular", "getrandbits", "randbytes", "lognormvariate"),
        *("vonmisesvariate", "gammavariate", "paretovariate", "weibullvariate", "binomialvariate"),
    )
)
_NUMPY_DRAWS: Final = frozenset(
    f"numpy.random.{name}"
    for name in (
        *("rand", "randn", "randint", "random", "random_sample", "choice", "shuffle", "permutation", "normal"),
        *("uniform", "standard_normal", "exponential", "poisson", "binomial", "beta", "gamma", "multivariate_normal"),
        *("bytes", "lognormal", "laplace", "multinomial", "dirichlet", "triangular", "ranf", "sample", "geometric"),
    )
)
_MAKERS: Final = frozenset({"random.Random", "numpy.random.default_rng", "numpy.random.RandomState"})
_SYSTEM: Final = frozenset({
    "os.urandom", "os.getrandom", "random.SystemRandom", "secrets.token_bytes", "secrets.token_hex",
    "secrets.token_urlsafe", "secrets.choice", "secrets.randbelow", "secrets.randbits", "numpy.random.SeedSequence",
})  # fmt: skip
_MODELS: Final = frozenset({
    "RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor",
    "GradientBoostingClassifier", "GradientBoostingRegressor", "DecisionTreeClassifier", "DecisionTreeRegressor",
    "ExtraTreeClassifier", "ExtraTreeRegressor", "BaggingClassifier", "BaggingRegressor", "AdaBoostClassifier",
    "AdaBoostRegressor", "IsolationForest", "KMeans", "MiniBatchKMeans", "BisectingKMeans", "GaussianMixture",
    "BayesianGaussianMixture", "SpectralClustering", "MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor",
    "Perceptron", "PassiveAggressiveClassifier", "PassiveAggressiveRegressor", "TruncatedSVD", "FastICA",
    "LatentDirichletAllocation", "MiniBatchDictionaryLearning", "TSNE", "MDS", "RandomizedSearchCV",
    "GaussianRandomProjection", "SparseRandomProjection", "RBFSampler", "Nystroem", "RANSACRegressor",
    "train_test_split", "ShuffleSplit", "StratifiedShuffleSplit", "GroupShuffleSplit", "RepeatedKFold",
    "RepeatedStratifiedKFold", "permutation_importance", "resample", "shuffle", "make_classification", "make_blobs",
    "make_regression", "make_moons", "make_circles", "UMAP", "RandomOverSampler", "RandomUnderSampler", "SMOTE",
})  # fmt: skip
_IF_SHUFFLED: Final = frozenset({"KFold", "StratifiedKFold", "StratifiedGroupKFold"})
_LEARNERS: Final = ("sklearn.", "imblearn.", "umap.", "xgboost.", "lightgbm.")
_VECTOR_FORMATS: Final = ("svg", "svgz", "pdf", "ps", "eps")


def chance_findings(reading: Reading) -> Iterator[Finding]:
    """Yield the findings of `unseeded-random`, `unseeded-model` and `archive-time`."""
    chance = _Chance(reading)
    for node in reading.walk():
        if isinstance(node, ast.Call):
            yield from chance.called(node)


class _Chance:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._names = reading.names
        calls = [node for node in ast.walk(reading.tree) if isinstance(node, ast.Call)]
        seeds = {self._names.meaning(call.func) for call in calls if call.args or call.keywords}
        self._is_seeded = "random.seed" in seeds
        self._numpy_is_seeded = "numpy.random.seed" in seeds
        self._archives = dict(self._opened())

    def _opened(self) -> Iterator[tuple[str, str]]:
        """Yield (name of a variable, what archive it is)."""
        for node in ast.walk(self._reading.tree):
            value, target = None, None
            if isinstance(node, ast.withitem):
                value, target = node.context_expr, node.optional_vars
            elif isinstance(node, ast.Assign) and len(node.targets) == 1:
                value, target = node.value, node.targets[0]
            if isinstance(value, ast.Call) and isinstance(target, ast.Name):
                kind = {"zipfile.ZipFile": "zip", "tarfile.open": "tar", "tarfile.TarFile": "tar",
                        "tarfile.TarFile.open": "tar", "zipfile.ZipInfo": "info"}.get(
                            self._names.meaning(value.func), "")  # fmt: skip
                if kind:
                    yield target.id, kind

    def called(self, node: ast.Call) -> Iterator[Finding]:
        meaning = self._names.meaning(node.func)
        if meaning in _DRAWS:
            if not self._is_seeded:
                yield self._finding("unseeded-random", node, meaning)
        elif meaning in _NUMPY_DRAWS:
            if not self._numpy_is_seeded:
                yield self._finding("unseeded-random", node, meaning)
        elif meaning in _SYSTEM or (meaning in _MAKERS and _has_no_seed(node)):
            yield self._finding("unseeded-random", node, meaning)
        elif self._is_unseeded_model(node, meaning):
            yield self._finding("unseeded-model", node, meaning or self._reading.text(node.func))
        else:
            subject = self._timed(node, meaning)
            if subject:
                yield self._finding("archive-time", node, subject)

    def _is_unseeded_model(self, node: ast.Call, meaning: str) -> bool:
        words = {word.arg: word.value for word in node.keywords}
        state = words.get("random_state")
        if None in words or (state is not None and not (isinstance(state, ast.Constant) and state.value is None)):
            return False
        if self._numpy_is_seeded:
            return False
        last = meaning.rpartition(".")[2]
        if meaning.startswith(_LEARNERS):
            shuffles = (
                isinstance(words.get("shuffle"), ast.Constant) and getattr(words["shuffle"], "value", False) is True
            )
            keeps = isinstance(words.get("shuffle"), ast.Constant) and getattr(words["shuffle"], "value", True) is False
            return (last in _MODELS and not keeps) or (last in _IF_SHUFFLED and shuffles)
        is_frame = isinstance(node.func, ast.Attribute) and node.func.attr == "sample" and not meaning
        return state is not None or (is_frame and ("frac" in words or ("n" in words and "replace" in words)))

    def _timed(self, node: ast.Call, meaning: str) -> str:
        """Return what writes a time, empty if nothing does."""
        words = {word.arg: word.value for word in node.keywords}
        if meaning in ("shutil.make_archive", "zipfile.ZipInfo.from_file"):
            return meaning
        mode = _constant(words.get("mode") or (node.args[1] if len(node.args) > 1 else None))
        if meaning in ("gzip.open", "gzip.GzipFile"):
            return meaning if "mtime" not in words and any(letter in mode for letter in "wax") else ""
        if meaning in ("tarfile.open", "tarfile.TarFile.open"):
            return f"{meaning} (the gzip header)" if mode in ("w:gz", "x:gz", "w|gz") else ""
        if not isinstance(node.func, ast.Attribute):
            return ""
        method = node.func.attr
        kind = self._archives.get(node.func.value.id, "") if isinstance(node.func.value, ast.Name) else ""
        if kind == "zip" and method in ("write", "writestr"):
            return f"ZipFile.{method}" if method == "write" or not self._is_info(node) else ""
        if kind == "tar" and method in ("add", "gettarinfo"):
            return f"TarFile.{method}" if "filter" not in words else ""
        if method == "to_excel":
            return "to_excel (the workbook's creation time)"
        if method == "savefig" and "metadata" not in words:
            name = _constant(words.get("format") or (node.args[0] if node.args else None))
            return "savefig (the date in its metadata)" if name.rpartition(".")[2] in _VECTOR_FORMATS else ""
        return ""

    def _is_info(self, node: ast.Call) -> bool:
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Call):
            return self._names.meaning(first.func) == "zipfile.ZipInfo"
        return isinstance(first, ast.Name) and self._archives.get(first.id) == "info"

    def _finding(self, rule: str, node: ast.expr, subject: str) -> Finding:
        return found(rule, self._reading.place(node), subject)


def _has_no_seed(node: ast.Call) -> bool:
    given = [*node.args, *(word.value for word in node.keywords)]
    return not given or (len(given) == 1 and isinstance(given[0], ast.Constant) and given[0].value is None)


def _constant(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
