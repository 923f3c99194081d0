"""The commands of the command line: what each does, and where it is."""

SUMMARIES = {
    "build": "Build an image from a Dockerfile.",
    "plan": "Show the steps of a build without running any.",
    "context": "Show what a build sees of its context (context ls).",
    "images": "List images.",
    "inspect": "Show images as JSON.",
    "history": "Show how an image was made.",
    "tag": "Give an image another name.",
    "rmi": "Remove names and images.",
    "prune": "Remove what nothing needs any more.",
    "du": "Show what takes space on the disk.",
    "pull": "Fetch images from registries.",
    "push": "Send images to registries.",
    "login": "Keep the credentials for a registry.",
    "logout": "Forget the credentials for a registry.",
    "save": "Write images to an archive.",
    "load": "Read images from an archive or OCI layout.",
    "doctor": "Say what this host lacks for builds.",
    "completion": "Print a script for completion in a shell.",
}
MODULES = {
    "build": "build",
    "plan": "plan",
    "context": "context",
    "pull": "transfers",
    "push": "transfers",
    "login": "credentials",
    "logout": "credentials",
    "prune": "prune",
    "du": "prune",
    "save": "archives",
    "load": "archives",
    "doctor": "doctor",
    "completion": "completion",
}
"""Where a command's COMMANDS entry is; all others are in ``images``."""
