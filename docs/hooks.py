"""What mkdocs.yml cannot say: the plugin `same-dir` leaves out the root's files that are no pages; README links one."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    files.append(File.generated(config, "CITATION.cff", abs_src_path=str(Path(config.docs_dir) / "CITATION.cff")))
    return files
