"""Print the oldest versions that setup.cfg allows as pip constraints: `torch>=2.6` becomes `torch==2.6.*`."""

import configparser
import re
from pathlib import Path

settings = configparser.ConfigParser()
settings.read(Path(__file__).parent.parent / "setup.cfg")
extras = settings["options.extras_require"]
required = "\n".join(
    [settings["options"]["install_requires"], *(extras[name] for name in ("score", "pipeline", "report", "test"))]
)
for name, version in re.findall(r"^([\w-]+)>=([\w.]+)$", required, re.MULTILINE):
    print(f"{name}=={version}.*" if version.count(".") < 2 else f"{name}=={version}")
print("pyparsing<3.3")  # matplotlib of that time calls what later ones warn of
