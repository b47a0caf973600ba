"""The package as the worker meets it: a process that is told of jobs in files. `python -m unittest discover python/tests`."""

import ast
import inspect
import json
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

import consilium_trainer  # noqa: E402
from consilium_trainer import Job, helpers, read, write  # noqa: E402
from consilium_trainer.helpers import (  # noqa: E402
    flower, from_keras, from_sklearn, into_keras, into_sklearn, keep_keras_optimizer, kept_keras_optimizer,
)

ENDLESS = """
import sys, time
from consilium_trainer import Stopped, run
def train(job):
    print("a word that is no answer")
    if job.settings.get("give"):
        return {job.settings["give"]: job.model["w"] + 1}
    if job.settings.get("raise"):
        raise {"zero": ZeroDivisionError, "float": FloatingPointError, "memory": MemoryError}[job.settings["raise"]]("why")
    try:
        job.progress(0.5)
        time.sleep(60)
    except Stopped:
        (job.state / "kept").write_text("1")
        raise
run(train, lambda job: job.x[:, :1])
"""


READER = """
from consilium_trainer import run
def means(files):
    return [float(path.read_text()) for path in files]
def train(job):
    assert job.x.shape == (3, 0) and len(job.files_validation) == 1
    return {"w": job.model["w"] * 0 + sum(means(job.files))}
run(train, lambda job: [[mean] for mean in means(job.files)])
"""


FROZEN = """
from consilium_trainer import run
def train(job):
    if job.settings.get("spoil"):
        job.model["deep"] += 1
    return {"w": job.model["w"] + job.model["deep"].sum(), "deep": job.model["deep"] + 1}
run(train, lambda job: job.x[:, :1])
"""


INPLACE = """
from consilium_trainer import run

def spoil(job):
    job.model["w"] += 1
    return job.model

run(spoil, lambda job: spoil(job)["w"] + 0 * job.x[:, :1])
"""


class Trainer:
    """A trainer's process and folder."""

    def __init__(self, script, initial):
        self.folder = Path(tempfile.mkdtemp())
        for name in ("rows", "in", "out", "state"):
            (self.folder / name).mkdir()
        write(self.folder / "initial.safetensors", initial)
        draw = np.random.default_rng(3)
        x = draw.normal(size=(90, 30)).astype(np.float32)
        self.y = (x[:, 0] > 0).astype(np.int64)
        write(self.folder / "rows/a.safetensors", {"x": x, "y": self.y})
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, script], cwd=self.folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env={"PYTHONPATH": str(HERE)})
        assert json.loads(self.process.stdout.readline()) == {"ready": 1}

    def tell(self, kind, model, number=1, rows=None, files=None, **settings):
        write(self.folder / "in/model.safetensors", model)
        if rows is None:
            rows = {"training": "rows/a.safetensors", "validation": "rows/a.safetensors"} if kind == "train" else {"predict": "rows/a.safetensors"}
        job = {
            "version": 1, "kind": kind, "round": number, "seed": 5, "rows": rows, "initial": "initial.safetensors",
            "model": "in/model.safetensors", "model_name": str(id(model)) + str(number), "output": "out/output.safetensors",
            "state": "state", "merged": list(model), "local": [], "inputs": [30], "outputs": 1, "task": "binary",
            "loss": "cross_entropy", "training": {"batch_size": 32, "epochs": 2}, "settings": settings,
        }
        if files is not None:
            job["files"] = files
        (self.folder / "in/job.json").write_text(json.dumps(job))
        self.process.stdin.write('{"job": "in/job.json"}\n')
        self.process.stdin.flush()

    def answer(self):
        while True:
            said = json.loads(self.process.stdout.readline())
            if "progress" not in said:
                return said

    def close(self):
        self.process.kill()
        self.process.communicate()


class Package(unittest.TestCase):
    def test_the_template_learns_and_says_the_same_twice(self):
        template = HERE / "template/trainer.py"
        file = Path(tempfile.mkdtemp()) / "initial.safetensors"
        subprocess.run([sys.executable, template, "--initial", file], check=True, env={"PYTHONPATH": str(HERE)})
        trainer = Trainer(template, read(file))
        self.addCleanup(trainer.close)
        model = read(file)
        for number in (1, 2):
            trainer.tell("train", model, number)
            self.assertIn("done", trainer.answer())
            model = read(trainer.folder / "out/output.safetensors")
        said = []
        for number in (1, 2):
            trainer.tell("predict", model, number)
            self.assertEqual(trainer.answer(), {"done": {}})
            said.append(read(trainer.folder / "out/output.safetensors")["logits"])
        np.testing.assert_array_equal(*said)
        self.assertEqual(said[0].shape, (90, 1))
        self.assertGreater(np.mean((said[0][:, 0] > 0) == trainer.y), 0.8)

    def test_what_is_printed_is_no_answer_and_what_is_raised_has_a_code(self):
        script = Path(tempfile.mkdtemp()) / "t.py"
        script.write_text(ENDLESS)
        trainer = Trainer(script, {"w": np.zeros(1, np.float32)})
        self.addCleanup(trainer.close)
        for number, (error, code) in enumerate({"zero": "internal", "float": "not_finite", "memory": "memory"}.items()):
            trainer.tell("train", {"w": np.zeros(1, np.float32)}, number, **{"raise": error})
            self.assertEqual(trainer.answer()["failed"]["code"], code)

    def test_a_tensor_that_the_model_has_not_is_refused_by_name(self):
        script = Path(tempfile.mkdtemp()) / "t.py"
        script.write_text(ENDLESS)
        trainer = Trainer(script, {"w": np.zeros(1, np.float32)})
        self.addCleanup(trainer.close)
        trainer.tell("train", {"w": np.zeros(1, np.float32)}, give="w")
        self.assertEqual(trainer.answer(), {"done": {}})
        np.testing.assert_array_equal(read(trainer.folder / "out/output.safetensors")["w"], [1])
        trainer.tell("train", {"w": np.zeros(1, np.float32)}, 2, give="v")
        self.assertEqual(trainer.answer()["failed"]["why"], "train gave v, which the model has not; it has w")

    def test_tensors_that_never_change_are_there_cannot_be_changed_and_are_not_written(self):
        script = Path(tempfile.mkdtemp()) / "t.py"
        script.write_text(FROZEN)
        trainer = Trainer(script, {"w": np.zeros(1, np.float32), "deep": np.ones(2, np.float32)})
        self.addCleanup(trainer.close)
        for number in (1, 2):
            trainer.tell("train", {"w": np.zeros(1, np.float32)}, number)
            self.assertEqual(trainer.answer(), {"done": {}})
            found = read(trainer.folder / "out/output.safetensors")
            self.assertEqual(list(found), ["w"])
            np.testing.assert_array_equal(found["w"], [2])
        trainer.tell("train", {"w": np.zeros(1, np.float32)}, 3, spoil=True)
        self.assertIn("read-only", trainer.answer()["failed"]["why"])

    def test_a_model_that_is_changed_in_place_is_whole_in_the_next_job(self):
        script = Path(tempfile.mkdtemp()) / "t.py"
        script.write_text(INPLACE)
        model = {"w": np.zeros(1, np.float32)}
        trainer = Trainer(script, model)
        self.addCleanup(trainer.close)
        for kind in ("predict", "predict", "train", "train", "predict"):
            trainer.tell(kind, model)
            self.assertEqual(trainer.answer(), {"done": {}})
            found = read(trainer.folder / "out/output.safetensors")
            np.testing.assert_array_equal(found["w" if kind == "train" else "logits"].flat[0], 1)

    def test_rows_that_are_files_are_read_by_the_trainer(self):
        script = Path(tempfile.mkdtemp()) / "t.py"
        script.write_text(READER)
        trainer = Trainer(script, {"w": np.zeros(1, np.float32)})
        self.addCleanup(trainer.close)
        (trainer.folder / "files/0").mkdir(parents=True)
        for name, rows in {"a": 3, "b": 1}.items():
            write(trainer.folder / f"rows/{name}.safetensors", {"x": np.zeros((rows, 0), np.float32), "y": np.arange(rows)})
            paths = [f"files/0/{name}{row}" for row in range(rows)]
            for row, path in enumerate(paths):
                (trainer.folder / path).write_text(str(row + 0.5))
            (trainer.folder / f"rows/{name}.files.json").write_text(json.dumps(paths))
        sides = {"training": "a", "validation": "b"}
        rows, files = ({side: f"rows/{name}.{end}" for side, name in sides.items()} for end in ("safetensors", "files.json"))
        trainer.tell("train", {"w": np.zeros(1, np.float32)}, rows=rows, files=files)
        self.assertEqual(trainer.answer(), {"done": {}})
        np.testing.assert_array_equal(read(trainer.folder / "out/output.safetensors")["w"], [4.5])
        trainer.tell("predict", {"w": np.zeros(1, np.float32)}, rows={"predict": rows["training"]}, files={"predict": files["training"]})
        self.assertEqual(trainer.answer(), {"done": {}})
        logits = read(trainer.folder / "out/output.safetensors")["logits"]
        np.testing.assert_array_equal(logits, [[0.5], [1.5], [2.5]])

    def test_the_example_of_files_learns_from_volumes_and_says_the_same_twice(self):
        example = HERE / "examples/files_numpy.py"
        file = Path(tempfile.mkdtemp()) / "initial.safetensors"
        subprocess.run([sys.executable, example, "--initial", file], check=True, env={"PYTHONPATH": str(HERE)})
        model = read(file)
        trainer = Trainer(example, model)
        self.addCleanup(trainer.close)
        (trainer.folder / "files/0").mkdir(parents=True)
        draw, labels = np.random.default_rng(4), np.arange(64) % 2
        paths = [f"files/0/{row}.npy" for row in range(64)]
        for path, label in zip(paths, labels):
            # the ill are a little brighter
            np.save(trainer.folder / path, draw.beta(2 + 2 * label, 3, size=(4, 5, 6)))
        write(trainer.folder / "rows/b.safetensors", {"x": np.zeros((64, 0), np.float32), "y": labels})
        (trainer.folder / "rows/b.files.json").write_text(json.dumps(paths))

        def ask(kind, sides, number):
            rows, files = ({side: f"rows/b.{end}" for side in sides} for end in ("safetensors", "files.json"))
            trainer.tell(kind, model, number, rows=rows, files=files, learning_rate=2.0)
            self.assertEqual(trainer.answer(), {"done": {}})
            return read(trainer.folder / "out/output.safetensors")

        for number in range(1, 26):
            model = ask("train", ("training", "validation"), number)
        said = [ask("predict", ("predict",), number)["logits"] for number in (26, 27)]
        np.testing.assert_array_equal(*said)
        self.assertEqual(said[0].shape, (64, 1))
        self.assertGreater(np.mean((said[0][:, 0] > 0) == labels), 0.8)
        # a file that is no array of numbers ends the round, and not the trainer; nothing in it is run
        (trainer.folder / "files/0/x.npy").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
        (trainer.folder / "rows/b.files.json").write_text(json.dumps(["files/0/x.npy"] * 64))
        trainer.tell("predict", model, 28, rows={"predict": "rows/b.safetensors"}, files={"predict": "rows/b.files.json"}, learning_rate=2.0)
        self.assertEqual(trainer.answer()["failed"]["code"], "internal")
        self.assertFalse((trainer.folder / "ran").exists())

    def test_sigterm_ends_it_with_time_to_keep_something(self):
        script = Path(tempfile.mkdtemp()) / "t.py"
        script.write_text(ENDLESS)
        trainer = Trainer(script, {"w": np.zeros(1, np.float32)})
        self.addCleanup(trainer.close)
        trainer.tell("train", {"w": np.zeros(1, np.float32)})
        self.assertEqual(json.loads(trainer.process.stdout.readline()), {"progress": 0.5})
        trainer.process.send_signal(signal.SIGTERM)
        self.assertEqual(trainer.process.wait(5), 0)
        self.assertEqual((trainer.folder / "state/kept").read_text(), "1")

    def test_batches_are_whole_epochs_or_as_many_steps_as_asked_for(self):
        def job(**training):
            empty = np.zeros((0, 1), np.float32)
            return Job("train", {}, np.zeros((70, 1), np.float32), empty, empty, empty, 1, 5, 1, "binary", {"batch_size": 32, **training}, {}, Path())

        epochs = job(epochs=2).batches()
        self.assertEqual([len(rows) for rows in epochs], [32, 32, 6] * 2)
        self.assertEqual(sorted(np.concatenate(epochs[:3])), list(range(70)))
        self.assertEqual(len(job(epochs=0, batches=5).batches()), 5)

    def test_arrays_keep_type_and_shape_also_of_a_single_number(self):
        path = Path(tempfile.mkdtemp()) / "a"
        write(path, {"n": np.array(3, np.int64), "t": np.arange(6, dtype=np.float32).reshape(2, 3).T})
        found = read(path)
        self.assertEqual((found["n"].shape, found["n"].dtype), ((), np.int64))
        np.testing.assert_array_equal(found["t"], [[0, 3], [1, 4], [2, 5]])
        # views, of which safetensors 0.8.0 by itself writes what lies behind their beginning: findings/safetensors-other-cells.sh
        table = np.arange(18, dtype=np.float32).reshape(6, 3)
        views = {"column": table[:, 0], "reverse": table[3::-1], "broadcast": np.broadcast_to(np.float32(3), (3, 4)), "big": table.T.astype(">f4")}
        write(path, views)
        for name, array in read(path).items():
            np.testing.assert_array_equal(array, views[name])

    def test_a_flower_client_is_asked_to_fit(self):
        class Client:
            def fit(self, parameters, config):
                return [parameters[0] + config["by"]], 3, {"loss": 0.5}

        class Asked:
            model, settings, round, seed = {"w": np.ones(2)}, {"by": 2}, 1, 1

        arrays, loss = flower(lambda job: Client(), ["w"])(Asked())
        np.testing.assert_array_equal(arrays["w"], [3, 3])
        self.assertEqual(loss, 0.5)
        Asked.model = {"w": np.ones(2), "v": np.ones(2)}
        with self.assertRaisesRegex(ValueError, "gave 1 parameters, and 2 have names: w, v"):
            flower(lambda job: Client(), ["w", "v"])(Asked())


class Sources(unittest.TestCase):
    def test_an_example_has_at_most_forty_lines_and_serves_the_worker(self):
        examples = sorted((HERE / "examples").glob("*.py"))
        self.assertGreaterEqual(len(examples), 6)
        for path in [*examples, HERE / "template/trainer.py"]:
            text = path.read_text()
            self.assertLessEqual(len(text.splitlines()), 40, path)
            calls = [node.func.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
            self.assertIn("run", calls, path)

    def test_what_the_package_offers_has_types_and_is_described(self):
        self.assertTrue((HERE / "consilium_trainer/py.typed").exists())
        offered = [getattr(consilium_trainer, name) for name in consilium_trainer.__all__]
        offered += [found for name, found in vars(helpers).items() if inspect.isfunction(found) and found.__module__ == helpers.__name__ and not name.startswith("_")]
        functions = [found for found in offered if inspect.isfunction(found)]
        # a field may have a function as its default, which is no method
        functions += [found for name, found in vars(Job).items() if inspect.isfunction(found) and found.__name__ == name and not name.startswith("_")]
        self.assertGreaterEqual(len(functions), 10)
        for function in functions:
            self.assertTrue(function.__doc__, function)
            signature = inspect.signature(function)
            self.assertIsNot(signature.return_annotation, inspect.Signature.empty, function)
            for name, parameter in signature.parameters.items():
                if name != "self":
                    self.assertIsNot(parameter.annotation, inspect.Parameter.empty, (function, name))


class Numbers:
    """A variable as Keras has it."""

    def __init__(self, name, value):
        self.name, self.value = name, np.array(value, np.float32)

    def __array__(self, dtype=None, copy=None):
        return self.value.copy()

    def assign(self, value):
        self.value = np.array(value, np.float32)


class Adam:
    """What is asked of an optimizer of Keras; moments begin at 0."""

    built = False

    def __init__(self, rate):
        self.rate, self.variables = Numbers("learning_rate", rate), []

    def get_config(self):
        return {"rate": float(self.rate.value)}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def build(self, trainable):
        assert not self.built, "Keras refuses to build an optimizer for other variables once it is built"
        self.built, self.variables = True, [self.rate, *(Numbers("moment", 0 * each.value) for each in trainable)]


class Network:
    """What is asked of a model of Keras; `number` is what Keras has counted up to where a weight has no name."""

    def __init__(self, number):
        self.weights = [Numbers("variable" if number == 0 else f"variable_{number}", [1, 2]), Numbers("batch/gamma", [3])]
        self.trainable_variables, self.optimizer = self.weights, Adam(0.5)

    def get_weights(self):
        return [weight.value for weight in self.weights]

    def set_weights(self, values):
        for weight, value in zip(self.weights, values):
            weight.assign(value)


class Helpers(unittest.TestCase):
    def test_weights_of_keras_keep_their_names_in_a_network_that_is_made_once_more(self):
        first, again = Network(0), Network(7)
        self.assertEqual(list(from_keras(first)), ["000.variable", "001.batch.gamma"])
        first.set_weights([[5, 6], [7]])
        into_keras(again, from_keras(first))
        np.testing.assert_array_equal(from_keras(again)["000.variable"], [5, 6])

    def test_an_optimizer_of_keras_goes_on_from_what_was_kept_or_begins_anew(self):
        path, net = Path(tempfile.mkdtemp()) / "adam.safetensors", Network(0)
        kept_keras_optimizer(net, path)
        moment = net.optimizer.variables[1]
        moment.assign([8, 9])
        keep_keras_optimizer(net, path)
        moment.assign([0, 1])
        kept_keras_optimizer(net, path)
        np.testing.assert_array_equal(moment.value, [8, 9])
        path.unlink()
        kept_keras_optimizer(net, path)
        np.testing.assert_array_equal(moment.value, [0, 0])
        write(path, {"000": np.zeros(1, np.float32)})
        with self.assertRaisesRegex(ValueError, "holds 1 arrays, and this optimizer has 3"):
            kept_keras_optimizer(net, path)

    def test_a_linear_model_of_scikit_learn_predicts_the_same_after_a_round_trip(self):
        from sklearn.linear_model import SGDClassifier

        draw = np.random.default_rng(1)
        x = draw.normal(size=(90, 3))
        fitted = SGDClassifier(loss="log_loss", random_state=1).fit(x, (x[:, 0] > 0).astype(int))
        arrays, other = from_sklearn(fitted), SGDClassifier(loss="log_loss", random_state=1)
        self.assertEqual({name: (array.shape, array.dtype) for name, array in arrays.items()}, {"coef": ((1, 3), np.float32), "intercept": ((1,), np.float32)})
        into_sklearn(other, arrays)
        np.testing.assert_array_equal(other.predict(x), fitted.predict(x))
        # and goes on from there
        other.partial_fit(x, (x[:, 0] > 0).astype(int), classes=[0, 1])
        self.assertGreater(other.score(x, x[:, 0] > 0), 0.9)


if __name__ == "__main__":
    unittest.main()
