#!/bin/bash
# A run on several machines under Slurm: one task a machine, torchrun starts a process a GPU. Submitted again after its time limit, the job
# goes on where it was. my.yaml names the pool and the model; /shared is a file system that all machines see.
#SBATCH --job-name=diverseevol
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
export HF_HUB_OFFLINE=1
HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node 8 --rdzv-id "$SLURM_JOB_ID" \
  --rdzv-backend c10d --rdzv-endpoint "$HEAD:29500" \
  -m diverseevol run my.yaml out=/shared/runs/a
