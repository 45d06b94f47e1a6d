"""The minimal worker, going wrong in the way that its first argument names, at problems whose first logit is 666."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import minimal

MARK = 666.0
mode = sys.argv[1]


def misbehave(answer):  # noqa: C901, PLR0912, PLR0915  (a catalogue)
    """What it does instead of answering; returns what it sends after all, or None."""
    match mode:
        case "dies":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exits":
            print("out of ideas", file=sys.stderr)
            sys.exit(3)
        case "hangs":
            time.sleep(3600)
        case "hangs_with_child":
            subprocess.run(["sleep", "3600"], check=True)
        case "dies_leaving_child":
            Path(sys.argv[2]).write_text(str(subprocess.Popen(["sleep", "3600"]).pid))
            sys.exit(4)
        case "floods_stdout":
            while True:
                sys.stdout.write("na " * 10000 + "\n")
        case "floods_stderr":
            for _ in range(400):
                sys.stderr.write("x" * 100_000 + "\n")
        case "garbage":
            sys.stdout.write("Epoch 1/10: loss 0.7437\n")
        case "not_utf8":
            sys.stdout.buffer.write(b'{"type": "\xff\xfe"}\n')
        case "deeply_nested":
            sys.stdout.write("[" * 100_000 + "\n")
        case "wrong_id":
            return {**answer, "problem": "0" * 20}
        case "wrong_subject":
            return {**answer, "subject": "minimal:something_else@cpu"}
        case "wrong_shape":
            answer["outcome"]["loss"]["shape"] = [7, 7]
        case "negative_shape":
            answer["outcome"]["loss"]["shape"] = [-1]
        case "impossible_shape":
            answer["outcome"]["loss"] = {"dtype": "float32", "shape": [1 << 40, 1 << 40, 0], "data": ""}
        case "wrong_gradient_shape":
            answer["outcome"]["grad_logits"]["shape"].reverse()
        case "unknown_dtype":
            answer["outcome"]["loss"]["dtype"] = "object"
        case "not_base64":
            answer["outcome"]["loss"]["data"] = "!" * 8
        case "claims_to_have_crashed":
            answer["outcome"] = {"kind": "crashed", "status": "SIGSEGV", "stderr": ""}
        case "skips":
            return None
        case "answers_twice":
            minimal.send(answer)
        case "closes_stdout":
            os.close(1)
            time.sleep(3600)
        case "cuts_off":
            sys.stdout.write(json.dumps(answer)[:40])
            sys.stdout.flush()
            os._exit(0)
        case "huge_line":
            while True:
                sys.stdout.write("[" * 100_000)
        case "leaks":
            hoard = []
            while True:
                hoard.append(bytearray(os.urandom(1 << 20)) * 8)
                time.sleep(0.005)
        case "poisoned":
            answer["outcome"] = {
                "kind": "raised",
                "type": "RuntimeError",
                "message": "CUDA error: device-side assert triggered",
            }
    return answer


def start():
    match mode:
        case "dies_at_start":
            sys.exit("libfoo.so.1: cannot open shared object file")
        case "dies_at_first_start" if not Path(sys.argv[2]).exists():
            Path(sys.argv[2]).touch()
            sys.exit("not today")
        case "hangs_at_start":
            time.sleep(3600)
        case "refuses":
            minimal.send({"type": "failed", "reason": "no licence", "hint": "buy one"})
            sys.exit(1)
        case "old_protocol":
            minimal.send({"type": "hello", "protocol": 0, "subjects": [], "environment": {}})
        case "babbles_at_start":
            print("Welcome!")


def main():
    start()
    minimal.hello()
    print("started", file=sys.stderr, flush=True)
    for line in sys.stdin:
        batch = json.loads(line)
        if mode == "dies_always":
            sys.exit(5)
        for item in batch["items"]:
            for subject in item["subjects"]:
                answer = {
                    "type": "answer",
                    "problem": item["problem"]["id"],
                    "subject": subject,
                    "outcome": minimal.evaluate(item["problem"]),
                }
                if minimal.decode(item["problem"]["logits"])[0] == MARK:
                    answer = misbehave(answer)
                if answer is not None:
                    minimal.send(answer)
        minimal.send({"type": "done", "batch": batch["batch"]})


main()
