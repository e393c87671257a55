"""The card's listings: how a bundle is used, in Python and where its target runs."""

from amused_edge.runtime.bundle.manifest import Manifest

REPOSITORY = "https://github.com/amused-edge/amused-edge"
GUIDES = f"{REPOSITORY}/blob/main/docs"

_PYTHON = """\
```python
from amused_edge import AmusedPipeline, GenerationOptions

with AmusedPipeline.from_bundle("{place}"{engine}) as pipeline:
    result = pipeline.generate("a red fox in the snow", GenerationOptions(seed=0))
result.images  # (1, {height}, {width}, 3) uint8
```

```
pip install 'amused-edge[hub]'
amused-edge generate {place} "a red fox in the snow"{flags} -o fox.png
```"""

_WEB = """\
**In browsers**, with the npm package; the files lie on your server
([guide]({guides}/web.md)):

```js
import {{ openUrl }} from "amused-edge/web";

const pipeline = await openUrl("/bundle", {{ ort: "/ort" }});
const [{{ image }}] = await pipeline.generate("a red fox in the snow", {{ seed: 0 }});
```"""

_ANDROID = """\
**On Android**, with the Kotlin library; the files lie in a folder of the app
([guide]({guides}/android.md)):

```kotlin
val pipeline = AmusedPipeline.open(folder, OrtEngine())
val picture = pipeline.generate(TextToImage(texts(listOf("a red fox in the snow")))).first()
```"""

_CORE_ML = """\
**On iPhones and Macs**, with Core ML; `manifest.json` says what each graph takes and gives
([guide]({guides}/ios.md)):

```swift
let compiled = try await MLModel.compileModel(at: folder.appendingPathComponent("denoiser.mlpackage"))
let denoiser = try MLModel(contentsOf: compiled, configuration: MLModelConfiguration())
```

In Python the engine is Core ML on a Mac; elsewhere `simulate` computes the same program slowly, in NumPy."""

_CORE_AI = """\
**On iPhones and Macs**, from iOS 27 and macOS 27 on, with Core AI
([guide]({guides}/coreai.md)); `manifest.json` says what each graph
takes and gives. In Python it takes `pip install 'amused-edge[coreai,hub]'`."""


def usage(manifest: Manifest, place: str | None) -> list[str]:
    """Return how the bundle is used.

    Parameters
    ----------
    place
        Its id on the hub; None where it has none yet.
    """
    coreml, geometry = manifest.target == "coreml", manifest.geometry
    said = _PYTHON.format(
        place=place or "OWNER/NAME",
        engine=', EngineOptions(simulate="half")' if coreml else "",
        flags=" --simulate half" if coreml else "",
        height=geometry.image_height,
        width=geometry.image_width,
    )
    if coreml:
        said = said.replace("AmusedPipeline, GenerationOptions", "AmusedPipeline, EngineOptions, GenerationOptions")
    lines = ["## How to use it", ""]
    if place is None:
        lines += ["`OWNER/NAME` is where it lies on the hub; the path of its folder does too.", ""]
    lines += said.splitlines()
    listings = {"onnx": (_WEB, _ANDROID), "coreml": (_CORE_ML,), "coreai": (_CORE_AI,)}
    for listing in listings.get(manifest.target, ()):
        lines += ["", *listing.format(guides=GUIDES).splitlines()]
    return lines
