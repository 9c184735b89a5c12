"""What a GPU machine without network needs, in one file.

`make gpu-wheels` makes a stand-in for the driver's library (`stub`), builds PyCUDA against it and collects the other
wheels (`wheels`); `make gpu-bundle` packs them with this project, the recorded cases and a launcher (`pack`).
``python3 rosetta-gpu.pyz`` on the other machine installs them and runs `rosetta check gpu` (`launcher`).
"""
