"""Training a noisy classifier through the real queue: it reports, can be stopped, is saved, and guides."""

from guidance_geometry.tests.queue.prompts import latents, steered

LEARNED = ["30", 0]


def training(**changed):
    """Nodes that learn two labels from four latents of the demo model."""
    canvas = {"class_type": "GGEmptyCanvas", "inputs": {"model": ["1", 0], "width": 0, "height": 0, "batch_size": 4}}
    wires = {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 1], "latent_image": ["31", 0]}
    settings = {"seed": 7, "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "karras", "denoise": 1.0}
    samples = {"class_type": "KSampler", "inputs": wires | settings}
    given = {
        "model": ["1", 0],
        "labels": "dark; bright",
        "steps": 6,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "width": 8,
        "sigma_conditioning": True,
        "seed": 0,
        "filename_prefix": "queued",
        "latent": ["33", 0],
    }
    return {"31": canvas, "33": samples, "30": {"class_type": "GGTrainNoisyClassifier", "inputs": given | changed}}


def wanting(classifier):
    """An energy that asks for the second label."""
    return {"class_type": "GGLabelEnergy", "inputs": {"classifier": classifier, "label": "bright", "kind": "label"}}


def file_of(job):
    """The file that a training wrote."""
    return job.outputs["30"]["text"][0].split()[0]


def loading(name):
    return {"30": {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": name}}}


def test_what_was_learned_guides_at_once_and_from_its_file(client):
    told = []

    def note(kind, data):
        if kind == "progress" and data["node"] == "30":
            told.append((data["value"], data["max"]))

    first = client.run(steered(wanting(LEARNED), training(), scale=30.0, seed=51), note)
    assert told[-1] == (6, 6)
    assert len(first.outputs["30"]["images"]) == 1
    plain = latents(client, client.run(steered(wanting(LEARNED), loading(file_of(first)), scale=0.0, seed=51)))
    again = latents(client, client.run(steered(wanting(LEARNED), loading(file_of(first)), scale=30.0, seed=51)))
    found = latents(client, first)
    assert (found - again).abs().max() <= 1e-4
    assert (found - plain).abs().max() > 1e-3
