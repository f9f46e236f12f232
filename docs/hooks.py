"""What mkdocs.yml cannot say: the plugin `same-dir` leaves out the root's files that are no pages; README links one."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    files.append(File.generated(config, "CITATION.cff", abs_src_path=str(Path(config.docs_dir) / "CITATION.cff")))
    return files


def on_post_build(config: MkDocsConfig) -> None:
    """Fail where `exclude_docs` has left out the theme's own files: the site would be there, without any style."""
    if not any((Path(config.site_dir) / "assets" / "stylesheets").glob("*.css")):
        msg = "The site has no stylesheets. Let `exclude_docs` in mkdocs.yml keep /assets/."
        raise PluginError(msg)
