"""The command line's words: commands, options, and help that teaches."""

from __future__ import annotations

import argparse

from poseviewer import __version__

COMMANDS = (
    "predict",
    "frames",
    "probe",
    "export",
    "import",
    "train",
    "evaluate",
    "skeletons",
    "models",
    "doctor",
    "demo",
)

TOP = """\
PoseViewer shows why a human-pose pipeline went wrong, lets you put it right, and hands the result back.

  poseviewer [PATH...]        open the window on a video, a picture, a folder or a .poseproj project
  poseviewer COMMAND ...      do one thing without a window; `poseviewer COMMAND --help` explains it

Results go to files or stdout, words and progress to stderr.
Exit status: 0 done, 1 failed (one sentence says why), 2 wrong call, 130 cancelled.
"""
TOP_EXAMPLES = """\
a first round:
  poseviewer demo                                   a clip with people, predicted and partly corrected
  poseviewer predict clip.mp4 --out results.json    who is where, as a COCO results list
  poseviewer predict clip.mp4 --project clip.poseproj
  poseviewer clip.poseproj                          look inside and correct, in the window
  poseviewer export clip.poseproj --format coco --out dataset
"""
PREDICT = """\
Find people and their joints in videos, pictures or folders of pictures.

RESULTS.json becomes a COCO results list: image_id, category_id 1, keypoints (x, y, score for each joint), score and
bbox (x, y, width, height). RESULTS.images.json beside it says what each image_id means: for a video one entry for each
frame (id, file_name, frame_index from 0, timestamp in seconds, width, height), people or not.
Coordinates are displayed pixels after rotation; the centre of the top-left pixel is (0, 0).
"""
PREDICT_EXAMPLES = """\
examples:
  poseviewer predict clip.mp4 --out results.json
  poseviewer predict clip.mp4 --out results.json --frames 0-99,120 --overlay seen.mp4
  poseviewer predict photos/ --boxes val.json --out results.json     boxes and image ids of a COCO file
  poseviewer predict clip.mp4 --project clip.poseproj                predictions to look at and correct
  poseviewer predict clip.mp4 --pipeline onestage --estimator yolov8n-pose.pt --out results.json
Ctrl-C stops within a batch and keeps what was finished.
"""
FRAMES = "Write exact frames as PNG: frame 57 becomes 000057.png, the very frame that the timeline shows as 57."
FRAMES_EXAMPLE = "example:\n  poseviewer frames clip.mp4 --index 0,57,812 --out pictures\n"
PROBE = """\
Say what a video, picture or folder holds: frames (counted by decoding), rate, size after rotation, duration, codec,
and anything odd: variable rate, an edit list, damage.
"""
EXPORT = """\
Write a data set that other tools read. For COCO: images/ with extracted frames under stable names, and
annotations/person_keypoints.json (or ..._train.json and ..._val.json with --val). For AlphaPose:
alphapose-results.json, and in its cmu and open forms one file for each picture in sep-json/ as well.

Only frames with corrections are exported unless --include says otherwise. The folder appears when everything was
written, read back with pycocotools and compared number for number; until then an earlier export stays as it is.

Frames that the project's last retraining held out are left out; with --val they go to COCO's ..._val.json instead.
"""
IMPORT = """\
Take a COCO file into a project: annotations become corrections, a results list becomes predictions of a run.
The project is made if it is not there, with the joint set that the file's joints are. Ids, areas, crowds and unknown
fields are kept for the next export. AlphaPose's results can be read in all of its forms.
"""
TRAIN = """\
Learn from corrections: retrain the pose network on corrected frames and show what that gained.

DATA are .poseproj projects (their corrections are read, never changed), folders that `poseviewer export` made, COCO
keypoint files (COCO-WholeBody's and Halpe's too), MPII's JSON list of people, or joints.mat of Leeds Sports Poses. Some
frames are held out of the training, by default the last quarter of each media's corrected ones; old and new weights are
compared on them joint by joint. The old network, frozen, keeps the new one from forgetting. DIR gets
estimator.safetensors, a card and comparison.json. A training that was cut off goes on when the same command is given
again.
"""
TRAIN_EXAMPLES = """\
examples:
  poseviewer train clip.poseproj --out better --minutes 10
  poseviewer train a.poseproj b.poseproj --hold-out b.mp4 --from mine.safetensors --out better --minutes 30
  poseviewer train dataset --hold-out clip.mp4:100-200 --out better --steps 2000 --device cuda
  poseviewer train halpe.json whole.json hands.json --share halpe.json=1/3 --share whole.json=1/3 --out better
  torchrun --nproc_per_node 4 -m poseviewer train dataset --out better --minutes 60
"""
EVALUATE = """\
Score a COCO results list against a COCO annotation file: OKS AP through pycocotools, and PCK@0.2 (a joint is right
within 0.2 torso lengths; the torso is the mean distance from shoulder to opposite hip). Where the two have different
joint sets, the joints that both have are scored.
"""
SKELETONS = """\
List the joint sets that there are: name, number of joints, title; yours after the bundled ones.

A skeleton file is JSON with name, title, joints, limbs (pairs of joint numbers from 0), flip (for each joint the one
it becomes in a mirrored picture), sides (left, right or centre) and sigmas (of OKS). Those of the installation, in
resources/skeletons, are examples.
"""
MODELS = """\
Weight files of pose networks: what one is, which published ones there are, fetching one, writing one as ONNX.

A published file opens by its path alone (predict --estimator FILE): AlphaPose, HRNet, HigherHRNet, SimpleBaseline,
associative embedding, MMPose, and ONNX files. Nothing in a file is executed.
"""
MODELS_EXAMPLES = """\
examples:
  poseviewer models inspect pose_hrnet_w32_256x192.pth     family, joints, input, colours, what is missing
  poseviewer models inspect net.onnx --set input_wh=192,256 --set decode=udp     settle what a file does not say
  poseviewer models list
  poseviewer models fetch rtmpose-m                        then: predict clip.mp4 --estimator rtmpose-m
  poseviewer models export pose_hrnet_w32_256x192.pth --out hrnet.onnx
"""
DOCTOR = "Say which versions, devices and codecs are there, what clashes, and where cache and log are kept."
DEMO = """\
Make a clip of people on the spot, predict it with the bundled weights and correct a few frames, so that there is
something to look at: one person is there twice, and the timeline's "worth a look" leads to it.

With a display the window opens on it. Without one, with --headless or with --out, the pictures come as files:
skeletons over frames, a contact sheet of heatmaps and crops, and a COCO data set.
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="poseviewer", description=TOP, epilog=TOP_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"PoseViewer {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _predict(commands)
    _media_commands(commands)
    _data_commands(commands)
    _other_commands(commands)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, examples: str = ""
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=text.strip().split("\n")[0].rstrip("."),
        description=text,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "predict", PREDICT, PREDICT_EXAMPLES)
    parser.add_argument("media", nargs="*", metavar="MEDIA", help="video, picture, folder of pictures or glob")
    parser.add_argument("--out", "-o", metavar="RESULTS.json", help="the COCO results list to write")
    parser.add_argument("--project", metavar="P", help="store predictions in this .poseproj (made if need be)")
    parser.add_argument(
        "--boxes",
        metavar="COCO.json",
        help="boxes of an annotation or detection file instead of the detector; annotated people are never suppressed",
    )
    parser.add_argument(
        "--pipeline",
        choices=("topdown", "bottomup", "onestage"),
        default="topdown",
        help="detector and estimator, a network with tags, or an ultralytics pose network (default: topdown)",
    )
    parser.add_argument("--detector", metavar="W", default="", help="YOLO person detector weights (default: bundled)")
    parser.add_argument(
        "--estimator", metavar="W", default="", help="pose weights, or a fetched model's name (default: bundled)"
    )
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda", help="where to compute (default: auto)")
    parser.add_argument("--frames", metavar="0-99,120", help="0-based, both ends included (default: all)")
    parser.add_argument("--overlay", metavar="OUT.mp4", help="also draw the skeletons into a video")
    parser.add_argument(
        "--overlay-colours",
        choices=("window", "alphapose"),
        default="window",
        help="of the video: as the window draws people, or as AlphaPose does (default: window)",
    )
    parser.add_argument("--resume", action="store_true", help="with --project: continue the run that did not finish")
    tuning = parser.add_argument_group("tuning")
    tuning.add_argument("--confidence", "--conf", type=float, metavar="0..1", help="least score of a box")
    tuning.add_argument("--iou", type=float, metavar="0..1", help="boxes that overlap more are one person")
    tuning.add_argument(
        "--enlargement", type=float, metavar="F", help="grow boxes by this fraction (default: as trained)"
    )
    tuning.add_argument("--input-size", type=int, metavar="PX", help="of the whole picture, bottomup and onestage")
    tuning.add_argument("--scales", type=_numbers, metavar="0.5,1,2", help="of that size, averaged, bottomup")
    tuning.add_argument(
        "--grouping-limit", type=float, metavar="F", help="largest tag distance that joins, bottomup (default: 1)"
    )
    tuning.add_argument(
        "--tracker",
        choices=("auto", "none", "kalman", "poseflow", "oks"),
        default="auto",
        help="who is who from frame to frame (default: kalman in videos, none in pictures)",
    )
    tuning.add_argument("--reid", metavar="W", help="re-ID weights: kalman then compares what people look like")
    tuning.add_argument(
        "--flip",
        action=argparse.BooleanOptionalAction,
        help="average with the mirrored crop or picture: slower, better (default: bottomup only)",
    )
    tuning.add_argument("--no-stn", action="store_true", help="leave the spatial transformer out")
    tuning.add_argument(
        "--nms",
        choices=("auto", "master", "old", "train", "2017", "2017_mpii", "paper", "corrected"),
        default="auto",
        help="form of pose NMS, topdown (default: what belongs to the estimator)",
    )
    tuning.add_argument("--no-nms", action="store_true", help="keep every pose: no pose NMS")
    tuning.add_argument(
        "--precision",
        choices=("auto", "float32", "bf16", "fp16"),
        help="of the estimator's numbers (default: float32 on a processor, bf16 on an accelerator)",
    )
    tuning.add_argument(
        "--backend",
        choices=("auto", "eager", "torch", "onnxruntime", "openvino"),
        help="what computes the estimator (default: a faster one where it is installed and agrees with torch)",
    )
    tuning.add_argument("--batch-frames", type=int, metavar="N", help="frames in one go through the detector")
    tuning.add_argument("--batch-people", type=int, metavar="N", help="people in one go through the estimator")
    _aliases(parser)


def _numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between them; argparse words the error."""
    return tuple(float(part) for part in text.split(","))


def _aliases(parser: argparse.ArgumentParser) -> None:
    """Accept AlphaPose's spellings without advertising them."""
    for names, target, kind in (
        (("--detbatch",), "batch_frames", int),
        (("--posebatch",), "batch_people", int),
        (("--detfile",), "boxes", str),
        (("--checkpoint", "--weights"), "estimator", str),
    ):
        parser.add_argument(*names, dest=target, type=kind, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument(
        "--indir", "--video", "--image", dest="alias_media", action="append", default=[], help=argparse.SUPPRESS
    )


def _media_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    frames = _add(
        commands, "frames", FRAMES, "example:\n  poseviewer frames clip.mp4 --index 0,57,812 --out pictures\n"
    )
    frames.add_argument("media", metavar="MEDIA", help="video, picture or folder")
    frames.add_argument("--index", "--frames", required=True, metavar="0,57,812", help="numbers and ranges such as 0-9")
    frames.add_argument("--out", "-o", required=True, metavar="DIR", help="folder for the pictures, made if need be")
    probe = _add(commands, "probe", PROBE, "example:\n  poseviewer probe clip.mp4 --json\n")
    probe.add_argument("media", metavar="MEDIA", help="video, picture or folder")
    probe.add_argument("--json", action="store_true", help="as JSON on stdout")


def _data_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    export = _add(
        commands,
        "export",
        EXPORT,
        "examples:\n  poseviewer export clip.poseproj --format coco --out dataset\n"
        "  poseviewer export clip.poseproj --out dataset --include all --val 0.2\n",
    )
    export.add_argument("project", metavar="P", help="a .poseproj file")
    export.add_argument(
        "--format",
        choices=("coco", "posetrack", "alphapose", "alphapose-cmu", "alphapose-open"),
        default="coco",
        help="COCO with pictures, PoseTrack's tracks, or AlphaPose's results in one of its forms (default: coco)",
    )
    export.add_argument("--out", "-o", required=True, metavar="DIR", help="folder that the export becomes")
    export.add_argument(
        "--include",
        choices=("corrections", "predictions", "all"),
        default="corrections",
        help="whose people (default: corrections)",
    )
    export.add_argument(
        "--pictures", choices=("png", "jpg", "none"), default="png", help="extract frames, or only name them (none)"
    )
    export.add_argument("--val", type=float, default=0.0, metavar="SHARE", help="split whole media into train and val")
    export.add_argument("--include-held-out", action="store_true", help="treat held-out frames like all others")
    export.add_argument("--overwrite", action="store_true", help="replace an earlier export")
    load = _add(
        commands,
        "import",
        IMPORT,
        "examples:\n  poseviewer import val.json --images pictures --project val.poseproj\n"
        "  poseviewer import results.json --images clip.mp4 --project clip.poseproj\n",
    )
    load.add_argument("file", metavar="FILE", help="COCO annotation file or results list")
    load.add_argument("--images", required=True, metavar="DIR", help="folder of the pictures, or the video")
    load.add_argument("--project", required=True, metavar="P", help="a .poseproj file, made if need be")
    load.add_argument("--skeleton", metavar="NAME", help="joint set of a project that is made: a name or a .json file")
    _train(commands)
    score = _add(commands, "evaluate", EVALUATE, "example:\n  poseviewer evaluate val.json results.json --json\n")
    score.add_argument("truth", metavar="GT.json", help="COCO annotation file")
    score.add_argument("results", metavar="DT.json", help="COCO results list")
    score.add_argument("--json", action="store_true", help="as JSON on stdout")


def _train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "train", TRAIN, TRAIN_EXAMPLES)
    parser.add_argument("data", nargs="+", metavar="DATA", help="projects, COCO keypoint files or exported folders")
    parser.add_argument("--from", dest="start", metavar="W", default="", help="start weights (default: bundled)")
    parser.add_argument("--out", "-o", required=True, metavar="DIR", help="folder for the new weights")
    parser.add_argument("--minutes", type=float, default=0.0, metavar="N", help="time budget (default: 10 minutes)")
    parser.add_argument("--steps", type=int, default=0, metavar="N", help="budget in steps, beside or instead of it")
    parser.add_argument("--device", metavar="auto|cpu|cuda", default="auto", help="where to compute (default: auto)")
    parser.add_argument(
        "--hold-out",
        action="append",
        default=[],
        metavar="WHAT",
        help="clip.mp4, clip.mp4:100-200, last:0.25 or none; may be given again (default: last:0.25)",
    )
    parser.add_argument(
        "--validate", action="append", default=[], metavar="COCO.json", help="people that are only measured"
    )
    parser.add_argument("--json", action="store_true", help="the comparison as JSON on stdout")
    parser.add_argument("--events", action="store_true", help="progress and curves as JSON lines on stdout")
    tuning = parser.add_argument_group("tuning")
    tuning.add_argument("--batch", type=int, default=16, metavar="N", help="crops a step (default: 16)")
    tuning.add_argument("--rate", type=float, default=5e-4, metavar="R", help="highest learning rate (default: 0.0005)")
    tuning.add_argument("--schedule", choices=("cosine", "step"), default="cosine", help="default: cosine")
    tuning.add_argument("--objective", choices=("heatmap", "sikr"), default="", help="default: what the network is for")
    tuning.add_argument("--keep", type=float, default=1.0, metavar="F", help="weight of the old answers (default: 1)")
    tuning.add_argument(
        "--share",
        action="append",
        default=[],
        metavar="DATA=SHARE",
        help="share of the crops from one of DATA, such as 1/3; the others share the rest equally (default: by people)",
    )
    tuning.add_argument(
        "--proposals",
        choices=("noise", "pgpg", "fixed"),
        default="noise",
        help="boxes to cut by: shaken at random, wrong as the detector is with such poses, or AlphaPose's fixed draws",
    )
    tuning.add_argument("--best", action="store_true", help="keep the best held-out moment instead of the last")
    tuning.add_argument("--precision", choices=("auto", "float32", "bf16", "fp16"), default="auto")
    tuning.add_argument("--readers", type=int, default=0, metavar="N", help="processes that cut crops (0: a thread)")
    tuning.add_argument("--tensorboard", action="store_true", help="write TensorBoard's files beside the CSV curves")
    tuning.add_argument("--threads", type=int, default=0, metavar="N", help="processor threads (default: all)")
    tuning.add_argument("--seed", type=int, default=0, metavar="N")


def _other_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sets = _add(commands, "skeletons", SKELETONS, "example:\n  poseviewer skeletons --add bench_press.json\n")
    sets.add_argument("--add", metavar="FILE", help="check a skeleton file and keep a copy of it for all projects")
    sets.add_argument("--json", action="store_true", help="as JSON on stdout")
    _models(commands)
    doctor = _add(commands, "doctor", DOCTOR)
    doctor.add_argument("--json", action="store_true", help="as JSON on stdout")
    demo = _add(commands, "demo", DEMO, "example:\n  poseviewer demo --out somewhere\n")
    demo.add_argument("--out", "-o", metavar="DIR", help="make everything as files there (default: poseviewer-demo)")
    demo.add_argument("--headless", action="store_true", help="make files even where a window could open")


def _models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    models = _add(commands, "models", MODELS, MODELS_EXAMPLES)
    actions = models.add_subparsers(dest="action", metavar="ACTION", required=True)
    inspect = actions.add_parser("inspect", help="say what a weight file is")
    inspect.add_argument("file", metavar="FILE", help="a weight file, or the name of a fetched model")
    inspect.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FACT=VALUE",
        help="settle a fact and remember it beside the file: skeleton, input_wh, mean, std, decode, crop, flip_shift, "
        "bgr, kernel",
    )
    listing = actions.add_parser("list", help="the catalogue of published models")
    fetch = actions.add_parser("fetch", help="download a model of the catalogue into the cache")
    fetch.add_argument("name", metavar="NAME", help="as models list has it")
    export = actions.add_parser("export", help="write an estimator as ONNX and compare what both compute")
    export.add_argument("file", metavar="FILE", help="a weight file, or the name of a fetched model")
    export.add_argument("--out", "-o", required=True, metavar="X.onnx", help="the file to write")
    for action in (inspect, listing):
        action.add_argument("--json", action="store_true", help="as JSON on stdout")
