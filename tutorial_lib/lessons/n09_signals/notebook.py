# %% [markdown]
# # 09 · Any signal
