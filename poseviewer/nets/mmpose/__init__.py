"""MMPose's networks, one file per family, under the key names of its weight files (backbone., neck., head.).

Facts: reference/hrnet_ae_mmpose.md section 5. `table.FAMILIES` lists the families.
"""
