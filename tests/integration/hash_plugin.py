"""An encoder that other processes can load by name: `HashEncoder` as a third party's plug-in."""

from textwrap import dedent

MODULE = """
    import logging, os, signal, time
    from pathlib import Path

    from drehr_rag.errors import EncoderError
    from drehr_rag.testing import HashEncoder

    class Plugin(HashEncoder):
        def encode_passages(self, texts):
            log = os.environ.get("HASH_LOG")
            if log:  # one line a block: who encoded it
                with Path(log).open("a") as file:
                    file.write(f"{os.getpid()}\\n")
                time.sleep(float(os.environ["HASH_SECONDS"]))
            if any("TRUNC" in text for text in texts):
                logging.getLogger("drehr_rag.hash_plugin").warning("%d text cut", len(texts))
                self.truncated += 1
            if any("qqpoison" in text for text in texts):
                raise EncoderError("weights are broken")
            if any("qqdeadly" in text for text in texts):
                os.kill(os.getpid(), signal.SIGKILL)
            return super().encode_passages(texts)

    def load(model=None):
        encoder = Plugin()
        encoder.name = "hash-plugin"
        return encoder
"""


def install(folder):
    """Put it where PYTHONPATH will point."""
    (folder / "hash_plugin_module.py").write_text(dedent(MODULE))
    about = folder / "hash_plugin-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hash-plugin\nVersion: 0\n")
    points = "[drehr_rag.encoders]\nhash-plugin = hash_plugin_module\n"
    (about / "entry_points.txt").write_text(points)
