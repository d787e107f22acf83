"""A Streamlit app that shows who its visitor is, and counts what a button is pressed.

Start: python -m streamlit run streamlit_app.py
"""

import streamlit as st

if "count" not in st.session_state:
    st.session_state.count = 0


def press() -> None:
    st.session_state.count += 1


names = st.context.headers.get_all("X-Auth-Username")
st.text(f"who: {' and '.join(names) or 'nobody'}")
st.button("press", on_click=press)
st.text(f"count: {st.session_state.count}")
